#include "http/token_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/rand.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "base/digest.h"
#include "base/io_error.h"
#include "base/replace_file.h"

namespace ca4::http {
namespace {

// Shorter ones can be guessed; longer ones do not fit a request head.
constexpr size_t kTokenBytesMin = 16;
constexpr size_t kTokenBytesMax = 4096;
// A team, not a user database.
constexpr size_t kTokensMax = 1000;
constexpr size_t kNameBytesMax = 64;
constexpr std::string_view kMadePrefix = "ca4_";
constexpr size_t kMadeRandomBytes = 32;
constexpr std::string_view kHashPrefix = "sha256:";
constexpr size_t kDigestHexBytes = 64;
constexpr std::string_view kBlanks = " \t\r";

constexpr std::pair<Scope, std::string_view> kScopes[] = {
    {Scope::kWrite, "write"}, {Scope::kRead, "read"}, {Scope::kAdmin, "admin"}};

bool is_word(std::string_view text, std::string_view marks) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           marks.find(c) != std::string_view::npos;
  });
}

bool is_name(std::string_view text) {
  return text.size() <= kNameBytesMax && is_word(text, "._-");
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> out;
  while (true) {
    const size_t begin = line.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return out;
    const size_t end = std::min(line.find_first_of(kBlanks, begin), line.size());
    out.push_back(line.substr(begin, end - begin));
    line.remove_prefix(end);
  }
}

// The digest of "sha256:HEX"; empty where it is none.
std::string_view digest_of(std::string_view text) {
  if (!text.starts_with(kHashPrefix)) return {};
  text.remove_prefix(kHashPrefix.size());
  return text.size() == kDigestHexBytes && is_hex(text) ? text : std::string_view();
}

// "50/s"
std::optional<int64_t> parse_rate(std::string_view text) {
  if (!text.ends_with("/s")) return std::nullopt;
  text.remove_suffix(2);
  int64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && out >= 1 && out <= kRequestsPerSMax ? std::optional(out) : std::nullopt;
}

Status refuse(std::string why) {
  return {Code::kInvalidArgument, std::move(why)};
}

// One that is not blank. Messages hold nothing of the line: it may be a token with a slip in it.
Result<KnownToken> parse_line(const std::vector<std::string_view>& words, size_t number) {
  KnownToken out;
  if (words.size() == 1) {
    const std::string_view token = words[0];
    if (token.size() < kTokenBytesMin || token.size() > kTokenBytesMax) {
      return refuse(fmt::format("a token has {} to {} characters, this one has {}", kTokenBytesMin,
                                kTokenBytesMax, token.size()));
    }
    if (!is_word(token, "-._~+/=")) return refuse("a token is made of A-Z a-z 0-9 - . _ ~ + / =");
    out.name = fmt::format("line-{}", number);
    out.digest = token_digest(token);
    out.plain = true;
    return out;
  }
  const bool hashed = words.size() == 3 || words.size() == 4;
  const std::string_view digest = hashed ? digest_of(words[2]) : std::string_view();
  // `printf "$UNSET" | sha256sum`: whoever sends no token would be let in.
  if (digest == token_digest({})) return refuse("this is the hash of nothing");
  if (digest.empty() || !is_name(words[0])) {
    return refuse("expected a token, or NAME SCOPES sha256:HEX [N/s] as `ca4 token new` writes it");
  }
  if (words.size() == 4) {
    const std::optional<int64_t> rate = parse_rate(words[3]);
    if (!rate) return refuse(fmt::format("expected 1/s to {}/s behind the hash", kRequestsPerSMax));
    out.requests_per_s_max = *rate;
  }
  const Result<Scopes> scopes = parse_scopes(words[1]);
  if (!scopes) return refuse("scopes are write, read and admin, with commas between");
  out.name = words[0];
  out.scopes = *scopes;
  out.digest = digest;
  return out;
}

// Closed at its end.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

// The tokens of the file, of which there may be none.
Result<std::vector<KnownToken>> parse_file(const std::string& path) {
  errno = 0;
  std::ifstream file(path);
  const auto unreadable = [&] {
    return Status(Code::kConfig, fmt::format("{}: the token file can't be read: {}", path,
                                             std::generic_category().message(errno)));
  };
  if (!file) return unreadable();
  std::vector<KnownToken> out;
  std::set<std::string> names;
  std::set<std::string> digests;
  std::string line;
  for (size_t number = 1; std::getline(file, line); ++number) {
    const auto bad = [&](std::string_view why) {
      return Status(Code::kConfig, fmt::format("{}:{}: {}", path, number, why));
    };
    const std::vector<std::string_view> words = words_of(line);
    if (words.empty() || words[0].starts_with('#')) continue;
    Result<KnownToken> token = parse_line(words, number);
    if (!token) return bad(token.status().message());
    if (out.size() == kTokensMax) return bad(fmt::format("more than {} tokens", kTokensMax));
    if (!digests.insert(token->digest).second) {
      if (token->plain) continue;
      return bad("this token is there already, and which of its scopes hold can't be told");
    }
    if (!names.insert(token->name).second) {
      return bad(fmt::format("there is a token '{}' already", token->name));
    }
    out.push_back(std::move(*token));
  }
  if (file.bad()) return unreadable();  // a folder opens, and ends here
  return out;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!text.empty() && text.back() != '\n') text += '\n';
  return text;
}

}  // namespace

std::string_view scope_name(Scope scope) {
  return std::find_if(std::begin(kScopes), std::end(kScopes),
                      [&](const auto& row) { return row.first == scope; })
      ->second;
}

std::string scopes_text(Scopes scopes) {
  std::string out;
  for (const auto& [scope, name] : kScopes) {
    if (has(scopes, scope)) out.append(out.empty() ? "" : ",").append(name);
  }
  return out;
}

Result<Scopes> parse_scopes(std::string_view text) {
  Scopes out = 0;
  while (true) {
    const std::string_view word = text.substr(0, text.find(','));
    const auto* const row = std::find_if(std::begin(kScopes), std::end(kScopes),
                                         [&](const auto& one) { return one.second == word; });
    if (row == std::end(kScopes)) {
      return refuse(fmt::format("'{}' is no scope; there are write, read and admin", word));
    }
    out |= static_cast<Scopes>(row->first);
    if (word.size() == text.size()) return out;
    text.remove_prefix(word.size() + 1);
  }
}

std::string token_digest(std::string_view token) {
  return sha256_hex(token);
}

Result<std::string> make_token() {
  std::string bytes(kMadeRandomBytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size())) !=
      1) {
    return Status(Code::kInternal, "OpenSSL gives no random bytes");
  }
  return std::string(kMadePrefix) + hex(bytes);
}

bool is_made(std::string_view token) {
  if (!token.starts_with(kMadePrefix)) return false;
  token.remove_prefix(kMadePrefix.size());
  return token.size() == kMadeRandomBytes * 2 && is_hex(token);
}

Result<std::vector<KnownToken>> read_token_file(const std::string& path) {
  Result<std::vector<KnownToken>> out = parse_file(path);
  if (out && out->empty()) {
    return Status(Code::kConfig,
                  fmt::format("{}: the token file has no token; nobody could get in", path));
  }
  return out;
}

Result<std::string> add_token(const std::string& file, const std::string& name, Scopes scopes,
                              int64_t requests_per_s_max) {
  if (!is_name(name)) {
    return refuse(fmt::format("a token's name is 1 to {} of A-Z a-z 0-9 . _ -", kNameBytesMax));
  }
  std::error_code error;
  // Where a link leads: the rename would replace the link. Absolute, as a bare name has no parent.
  const std::filesystem::path path =
      std::filesystem::weakly_canonical(std::filesystem::absolute(file, error), error);
  if (error) return io_error(file, error.value());
  const std::string parent = path.parent_path();
  // Locked is not the file itself: that is another after the rename.
  const Descriptor folder(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::flock(folder.get(), LOCK_EX) != 0) return io_error(parent);
  std::string text;
  if (std::filesystem::exists(path, error)) {
    const Result<std::vector<KnownToken>> known = parse_file(path);
    if (!known) return known.status();
    const bool taken = std::any_of(known->begin(), known->end(),
                                   [&](const KnownToken& token) { return token.name == name; });
    if (known->size() >= kTokensMax) {
      return refuse(
          fmt::format("{} has {} tokens already, as many as there may be", file, known->size()));
    }
    if (taken) {
      return refuse(fmt::format(
          "{} has a token '{}' already: give the new one another name, or take that line out", file,
          name));
    }
    text = text_of(path);
  }
  Result<std::string> token = make_token();
  if (!token) return token;
  text += fmt::format("{} {} {}{}\n", name, scopes_text(scopes), kHashPrefix, token_digest(*token));
  if (requests_per_s_max > 0) {
    text.insert(text.size() - 1, fmt::format(" {}/s", requests_per_s_max));
  }
  if (Status bad = replace_file(path, text); !bad.is_ok()) return bad;
  return token;
}

}  // namespace ca4::http
