#include "http/tokens.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "http/problem.h"

namespace ca4::http {
namespace {

using std::chrono::steady_clock;

// The token of "Authorization: Bearer TOKEN"; empty when there is none.
std::string_view bearer_token(const Request& request) {
  std::string_view header = request.header("Authorization");
  constexpr std::string_view kScheme = "bearer ";
  const bool bearer =
      header.size() > kScheme.size() &&
      std::equal(kScheme.begin(), kScheme.end(), header.begin(),
                 [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b + 32 : b); });
  if (!bearer) return {};
  header.remove_prefix(kScheme.size());
  const size_t begin = std::min(header.find_first_not_of(" \t"), header.size());
  return header.substr(begin, header.find_last_not_of(" \t") + 1 - begin);
}

void tell_of_plain(const std::string& path, const std::vector<KnownToken>& tokens, bool is_meant) {
  const auto plain =
      std::count_if(tokens.begin(), tokens.end(), [](const KnownToken& one) { return one.plain; });
  if (plain == 0) return;
  struct stat file{};
  const bool open = ::stat(path.c_str(), &file) == 0 && (file.st_mode & S_IROTH) != 0;
  if (is_meant && !open) return;
  spdlog::log(open ? spdlog::level::warn : spdlog::level::info,
              "{} of {} tokens in {} stand there as they are{}; `ca4 token new` keeps only hashes",
              plain, tokens.size(), path, open ? ", for everybody on this machine to read" : "");
}

int seconds(Allowance::Wait wait) {
  return std::max<int>(1, static_cast<int>((wait.count() + 999) / 1000));
}

}  // namespace

Status Tokens::load(const std::string& path) {
  const Result<std::vector<KnownToken>> tokens = read_token_file(path);
  if (!tokens) return tokens.status();
  auto fresh = std::make_shared<std::deque<Entry>>();
  for (const KnownToken& token : *tokens) {
    const auto per_s = static_cast<double>(std::max<int64_t>(token.requests_per_s_max, 1));
    fresh->push_back({token, Allowance(per_s, per_s * 2)});
  }
  tell_of_plain(path, *tokens, path == options_.handed_out_file);
  const std::lock_guard lock(mutex_);
  entries_ = std::move(fresh);
  return Status::ok();
}

Tokens::Entries Tokens::entries() const {
  const std::lock_guard lock(mutex_);
  return entries_;
}

void Tokens::reload(const std::string& path) {
  const Status loaded = load(path);
  if (loaded.is_ok()) return spdlog::info("tokens read again from {}", path);
  spdlog::error("the old tokens stay: {}", loaded.message());
}

bool Tokens::required() const {
  return entries() != nullptr;
}

Tokens::Entry* Tokens::find(const Entries& known, std::string_view given) {
  if (given.empty()) return nullptr;
  // Digests have one length and tell nothing of the token where they begin to differ.
  const std::string digest = token_digest(given);
  Entry* found = nullptr;
  for (Entry& entry : *known) {
    const std::string& one = entry.token.digest;
    if (CRYPTO_memcmp(one.data(), digest.data(), one.size()) == 0) found = &entry;
  }
  return found;
}

Tokens::Refusal Tokens::stranger(const Request& request, bool has_token) const {
  constexpr const char* kSend = "send one of the server's tokens: Authorization: Bearer TOKEN";
  // No guess: a page left open without a token must not keep out whoever shares its address.
  if (!has_token) return {401, "missing", kSend, "no token", {}};
  const Allowance::Wait wait = attempts_.count(client_address(request), steady_clock::now());
  if (wait == Allowance::Wait::zero()) {
    return {401, "unknown", "the token is none of this server's", "a token that is none", {}};
  }
  return {429, "attempts", "too many wrong tokens from this address: wait", "too many tries", wait};
}

Tokens::Refusal Tokens::guessed(const Request& request, std::string_view given) const {
  if (is_made(given)) return {};
  const Allowance::Wait wait = attempts_.wait(client_address(request), steady_clock::now());
  if (wait == Allowance::Wait::zero()) return {};
  return {429, "attempts", "too many wrong tokens from this address: wait", "too many tries", wait};
}

Allowance::Wait Tokens::use(Entry& entry) const {
  if (entry.token.requests_per_s_max == 0) return Allowance::Wait::zero();
  const std::lock_guard lock(mutex_);
  return entry.allowance.take(steady_clock::now());
}

Tokens::Refusal Tokens::judge(Request& request, Scope scope, const Entries& known) const {
  const std::string_view given = bearer_token(request);
  Entry* const entry = find(known, given);
  if (entry == nullptr) return stranger(request, !given.empty());
  if (Refusal slower = guessed(request, given); slower.status != 0) return slower;
  const KnownToken& token = entry->token;
  if (!has(token.scopes, scope)) {
    return {403,
            "scope",
            fmt::format("the token '{}' has no scope {}, only {}", token.name, scope_name(scope),
                        scopes_text(token.scopes)),
            fmt::format("token '{}' has no scope {}", token.name, scope_name(scope)),
            {}};
  }
  if (const Allowance::Wait wait = use(*entry); wait > Allowance::Wait::zero()) {
    return {429, "rate",
            fmt::format("the token '{}' may make {} requests a second", token.name,
                        token.requests_per_s_max),
            fmt::format("token '{}' makes more than {} requests a second", token.name,
                        token.requests_per_s_max),
            wait};
  }
  request.caller = token.name;
  return {};
}

Response Tokens::refusal(const Request& request, Scope scope, const Refusal& why) const {
  if (options_.refused) options_.refused(why.reason);
  if (why.status == 429) {
    audit_.refused_often(request, why.status, why.reason == "rate" ? why.audit : why.reason,
                         why.audit);
    return problem_retry(why.status, why.detail, seconds(why.retry_after));
  }
  if (why.reason != "unknown") {
    audit_.refused_often(request, why.status, why.audit, why.audit);
  } else {
    audit_.refused_by_many(request, why.status, why.audit);  // each as often as Attempts lets it
  }
  Response answer = problem(why.status, why.detail);
  std::string challenge = "Bearer realm=\"ca4\"";
  if (why.status == 403) {
    challenge += fmt::format(", error=\"insufficient_scope\", scope=\"{}\"", scope_name(scope));
  } else if (why.reason == "unknown") {
    challenge += ", error=\"invalid_token\"";
  }
  answer.headers.emplace_back("WWW-Authenticate", std::move(challenge));
  return answer;
}

std::optional<Response> Tokens::refuse_early(const Request& request) const {
  const Entries known = entries();
  const std::string_view given = bearer_token(request);
  if (!known) return std::nullopt;
  // A right token that has to wait looks as a wrong one does, here too: else whether the body is
  // asked for would tell which of many guesses is right.
  const Refusal why =
      find(known, given) == nullptr ? stranger(request, !given.empty()) : guessed(request, given);
  if (why.status == 0) return std::nullopt;
  return refusal(request, Scope::kWrite, why);
}

Handler Tokens::guard(Scope scope, Handler inner) const {
  return [this, scope, inner = std::move(inner)](Request request, Respond respond) {
    const Entries known = entries();
    if (!known) return inner(std::move(request), std::move(respond));
    const Refusal why = judge(request, scope, known);
    if (why.status != 0) return respond(refusal(request, scope, why));
    std::string caller = request.caller;
    inner(std::move(request),
          [caller = std::move(caller), respond = std::move(respond)](Response response) mutable {
            response.caller = std::move(caller);
            respond(std::move(response));
          });
  };
}

}  // namespace ca4::http
