// The file that says which bearer tokens are good, and for what: a line each, either
//   NAME SCOPE[,SCOPE] sha256:HEX [N/s]   what `ca4 token new` adds: from it nobody learns the
//   token TOKEN                                 the token itself, good for everything
// Blank lines, and those that begin with '#', are skipped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace ca4::http {

// What a token is good for; a route asks for one of them.
enum class Scope : unsigned {
  kWrite = 1,  // sending events
  kRead = 2,   // seeing them: the page, queries, taps
  kAdmin = 4,  // changing a running process
};

// Any of Scope, or'ed.
using Scopes = unsigned;
inline constexpr Scopes kAllScopes = 7;

inline bool has(Scopes scopes, Scope one) {
  return (scopes & static_cast<Scopes>(one)) != 0;
}

// "write", "read" or "admin".
std::string_view scope_name(Scope scope);

// "write,read"
std::string scopes_text(Scopes scopes);

// The other way round; kInvalidArgument says which word is none.
Result<Scopes> parse_scopes(std::string_view text);

// SHA-256. A plain hash is enough, as what is hashed has 256 random bits: no list of likely tokens
// can be tried against it, which is what bcrypt's slowness is for; and each request needs one.
// In lower-case hex, as in the file.
std::string token_digest(std::string_view token);

// More than a machine answers.
inline constexpr int64_t kRequestsPerSMax = 1'000'000;

struct KnownToken {
  std::string name;  // of the line; "line-3" where the file holds the token itself
  Scopes scopes = kAllScopes;
  std::string digest;
  bool plain = false;
  // Requests that it may make; 0: no limit, as a producer that sends as fast as the disk takes is
  // what a processor is for, and what is more than that is 503 already.
  int64_t requests_per_s_max = 0;
};

// A new token: "ca4_" and 256 random bits in hex. kInternal when there is no randomness.
Result<std::string> make_token();

// Whether a token has the form that make_token gives: nobody guesses one.
bool is_made(std::string_view token);

// The tokens of the file. kConfig, naming file and line but never what stands there, for anything
// that is neither form, a name that comes twice, and a file without a token.
Result<std::vector<KnownToken>> read_token_file(const std::string& path);

// Makes a token and adds its line to the file, which may not be there yet: that is made for its
// owner alone (0600), one that is there keeps owner and mode. All or nothing, also in a crash, and
// beside another that does the same. kInvalidArgument for a name that is none (1 to 64 of A-Z a-z
// 0-9 . _ -), or is there already; kConfig as above; kIo.
// `requests_per_s_max` is 0 to kRequestsPerSMax.
Result<std::string> add_token(const std::string& file, const std::string& name, Scopes scopes,
                              int64_t requests_per_s_max = 0);

}  // namespace ca4::http
