// Whose name a request to AWS carries.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"

namespace ca4::aws {

// Secret: never log anything but `source`.
struct Credentials {
  std::string access_key_id = {};
  std::string secret_access_key = {};
  std::string session_token = {};  // empty: none
  // None: they hold until somebody changes them.
  std::optional<int64_t> expires_at_us = {};
  std::string source = {};  // where they are from, for messages: "the environment"
};

// Thread-safe.
class CredentialsProvider {
 public:
  virtual ~CredentialsProvider() = default;

  // Credentials that hold now. kConfig when nobody gives any (the message names every place looked
  // at), kUnavailable when who should give them does not answer.
  virtual Result<Credentials> get() = 0;

  // Says that a service refused what `get` gave: the next `get` asks anew, also for what was not to
  // expire yet, so that mended keys are used without a restart.
  virtual void refused() = 0;
};

}  // namespace ca4::aws
