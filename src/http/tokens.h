// Bearer tokens (RFC 6750) from a file, before the handlers that ask for one.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "http/allowance.h"
#include "http/attempts.h"
#include "http/audit.h"
#include "http/server.h"
#include "http/token_file.h"

namespace ca4::http {

struct TokensOptions {
  // A file whose token is handed out by who made it, and so stands there as it is: that is said
  // only where others may read it. Empty: none.
  std::string handed_out_file = {};
  // Told of every refusal: "missing", "unknown", "scope", "rate" or "attempts". From event loops.
  std::function<void(std::string_view reason)> refused = {};
};

// Who may do what. Thread-safe.
class Tokens {
 public:
  explicit Tokens(TokensOptions options = {}) : options_(std::move(options)) {}

  // See read_token_file. The tokens from before stay when the file is bad. How many
  // tokens stand in the file as they are, is said: at warn where others may read it, else at info
  // (but see TokensOptions).
  Status load(const std::string& path);

  // The same while requests are served: what came of it is logged.
  void reload(const std::string& path);

  // Without a file everybody may.
  bool required() const;

  // A handler that lets pass what has a token for that scope, with its name in Request::caller, and
  // answers the rest, with an audit line:
  // - 401 without a token of the file,
  // - 403 when it is not for this scope,
  // - 429 with Retry-After when the token was used too often, or when too many wrong ones came from
  //   an address. Tokens of make_token are taken from there all the same: nobody guesses them, and
  //   who shares an address with others must not be able to keep them out.
  // Which token it is, and that it is none, takes the same time to find out. This object must
  // outlive the handler.
  Handler guard(Scope scope, Handler inner) const;

  // For ServerOptions::refuse_early: what `guard` would answer to a request without a token of the
  // file, or with one that has to wait for too many wrong ones.
  std::optional<Response> refuse_early(const Request& request) const;

 private:
  struct Entry {
    KnownToken token;
    Allowance allowance;  // guarded by mutex_
  };
  using Entries = std::shared_ptr<std::deque<Entry>>;
  struct Refusal {
    int status = 0;
    std::string reason;  // of the metric
    std::string detail;  // for the client
    std::string audit;   // for the log
    Allowance::Wait retry_after{};
  };

  Entries entries() const;
  static Entry* find(const Entries& known, std::string_view given);
  // What keeps the request out; status 0: nothing, and it has its caller.
  Refusal judge(Request& request, Scope scope, const Entries& known) const;
  Refusal stranger(const Request& request, bool has_token) const;
  // Of a token of the file that could have been guessed: status 429 after too many wrong ones.
  Refusal guessed(const Request& request, std::string_view given) const;
  Allowance::Wait use(Entry& entry) const;
  Response refusal(const Request& request, Scope scope, const Refusal& why) const;

  const TokensOptions options_;
  mutable std::mutex mutex_;
  Entries entries_;  // none: everybody may; guarded by mutex_
  mutable Attempts attempts_;
  mutable Audit audit_;
};

}  // namespace ca4::http
