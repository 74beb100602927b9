// The ids that images get. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace ca4::producer {

struct ItemFacts {
  std::string path;            // a file's, absolute; of a picture in memory: its name
  std::string uri;             // "file:///…" or "memory:…"
  std::string content_sha256;  // of the file, or of the pixels in memory; hex
  std::string model_sha256;
  std::string model_name;
  std::string output;  // of the model
};

// 32 hex digits (128 bits) of a SHA-256 over the file's and the model's SHA-256 and the output's
// name: the same picture through the same model has the same id wherever and whenever it is sent.
std::string content_id(const ItemFacts& facts);

// Text with places in braces: {stem} and {name} (file name without and with its ending), {sha}
// (content_id), {model} (the model's name), {unix} (seconds at sending; such an id differs at each
// run).
class IdTemplate {
 public:
  // kUsage names a place that does not exist, an open brace, or a template without any place.
  static Result<IdTemplate> parse(std::string_view text);

  std::string expand(const ItemFacts& facts, int64_t unix_s) const;
  // The id with {unix} left as it stands: what makes an item the same item at the next run.
  std::string stable_part(const ItemFacts& facts) const;

  // Has it {sha}? Otherwise pictures that differ may get one id, and the later replaces the
  // earlier.
  bool has_content() const;

 private:
  struct Piece {
    bool is_place = false;
    std::string text;
  };
  std::string fill(const ItemFacts& facts, const std::string& unix_text) const;

  std::vector<Piece> pieces_;
};

inline constexpr std::string_view kDefaultIdTemplate = "img-{sha}";

}  // namespace ca4::producer
