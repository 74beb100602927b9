#include "http/tokens.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <fstream>

#include "http/problem.h"

namespace ca4::http {
namespace {

// Shorter ones can be guessed; longer ones do not fit a request head.
constexpr size_t kTokenBytesMin = 16;
constexpr size_t kTokenBytesMax = 4096;
// A team, not a user database.
constexpr size_t kTokensMax = 1000;

bool is_token(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~+/=").find(c) != std::string_view::npos;
  });
}

std::string_view trimmed(std::string_view line) {
  const size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
}

std::array<unsigned char, 32> digest_of(std::string_view token) {
  std::array<unsigned char, 32> out{};
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), out.data());
  return out;
}

}  // namespace

Status Tokens::load(const std::string& path) {
  std::ifstream file(path);
  const auto refuse = [&](size_t line, std::string_view why) {
    return Status(Code::kConfig, line == 0 ? fmt::format("{}: {}", path, why)
                                           : fmt::format("{}:{}: {}", path, line, why));
  };
  if (!file) return refuse(0, "the token file can't be read");
  std::vector<Digest> digests;
  std::string line;
  for (size_t number = 1; std::getline(file, line); ++number) {
    const std::string_view token = trimmed(line);
    if (token.empty() || token.starts_with('#')) continue;
    // The token itself is never shown.
    if (token.size() < kTokenBytesMin || token.size() > kTokenBytesMax) {
      return refuse(number, fmt::format("a token has {} to {} characters, this one has {}",
                                        kTokenBytesMin, kTokenBytesMax, token.size()));
    }
    if (!is_token(token)) return refuse(number, "a token is made of A-Z a-z 0-9 - . _ ~ + / =");
    if (digests.size() == kTokensMax)
      return refuse(number, fmt::format("more than {} tokens", kTokensMax));
    digests.push_back(digest_of(token));
  }
  if (digests.empty()) return refuse(0, "the token file has no token; nobody could get in");
  const std::lock_guard lock(mutex_);
  digests_ = std::make_shared<const std::vector<Digest>>(std::move(digests));
  return Status::ok();
}

Tokens::Digests Tokens::digests() const {
  const std::lock_guard lock(mutex_);
  return digests_;
}

void Tokens::reload(const std::string& path) {
  const Status loaded = load(path);
  if (loaded.is_ok()) return spdlog::info("tokens read again from {}", path);
  spdlog::error("the old tokens stay: {}", loaded.message());
}

bool Tokens::required() const {
  return digests() != nullptr;
}

bool Tokens::allow(const Request& request) const {
  const Digests known = digests();
  if (!known) return true;
  const std::string_view header = request.header("Authorization");
  constexpr std::string_view kScheme = "bearer ";
  const bool bearer =
      header.size() > kScheme.size() &&
      std::equal(kScheme.begin(), kScheme.end(), header.begin(),
                 [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b + 32 : b); });
  // Digests have one length and tell nothing of the token where they begin to differ.
  const Digest given =
      digest_of(bearer ? trimmed(header.substr(kScheme.size())) : std::string_view());
  bool found = false;
  for (const Digest& digest : *known) {
    found |= CRYPTO_memcmp(digest.data(), given.data(), digest.size()) == 0;
  }
  return found;
}

Handler Tokens::guard(Handler inner) const {
  return [this, inner = std::move(inner)](Request request, Respond respond) {
    if (allow(request)) return inner(std::move(request), std::move(respond));
    Response refusal = problem(401, "send one of the server's tokens: Authorization: Bearer TOKEN");
    refusal.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"ca4\"");
    respond(std::move(refusal));
  };
}

}  // namespace ca4::http
