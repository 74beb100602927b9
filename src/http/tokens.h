// Bearer tokens (RFC 6750) from a file.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "http/server.h"

namespace ca4::http {

// Who may write and read. Thread-safe.
class Tokens {
 public:
  // No file: everybody may.
  Tokens() = default;

  // One token a line, 16 to 4096 characters of RFC 6750; blank lines and those that begin with '#'
  // are skipped. kConfig, naming file and line, for anything else and for a file without a token;
  // the tokens from before stay then.
  Status load(const std::string& path);

  // The same while requests are served: what came of it is logged.
  void reload(const std::string& path);

  bool required() const;

  // Whether the request carries one of them. Takes the same time whichever it is, or none.
  bool allow(const Request& request) const;

  // A handler that answers 401 unless `allow`. This object must outlive it.
  Handler guard(Handler inner) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  using Digests = std::shared_ptr<const std::vector<Digest>>;
  Digests digests() const;

  mutable std::mutex mutex_;
  Digests digests_;  // none: everybody may; guarded by mutex_
};

}  // namespace ca4::http
