#include "producer/item_id.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/digest.h"
#include "producer/hash.h"

namespace ca4::producer {
namespace {

constexpr std::array<std::string_view, 5> kPlaces = {"stem", "name", "sha", "unix", "model"};

Status wrong(std::string_view text, std::string_view reason) {
  return {Code::kUsage,
          fmt::format("id template \"{}\": {}; the places are {{stem}}, {{name}}, {{sha}}, "
                      "{{unix}} and {{model}}",
                      text, reason)};
}

}  // namespace

std::string content_id(const ItemFacts& facts) {
  return sha256_hex(facts.content_sha256 + facts.model_sha256 + facts.output).substr(0, 32);
}

Result<IdTemplate> IdTemplate::parse(std::string_view text) {
  IdTemplate out;
  bool any_place = false;
  for (size_t at = 0; at < text.size();) {
    const size_t open = std::min(text.find('{', at), text.size());
    if (open > at) out.pieces_.push_back({false, std::string(text.substr(at, open - at))});
    if (open == text.size()) break;
    const size_t close = text.find('}', open);
    if (close == std::string_view::npos) return wrong(text, "a brace is not closed");
    const std::string_view place = text.substr(open + 1, close - open - 1);
    if (std::ranges::find(kPlaces, place) == kPlaces.end()) {
      return wrong(text, fmt::format("there is no {{{}}}", place));
    }
    out.pieces_.push_back({true, std::string(place)});
    any_place = any_place || (place != "unix" && place != "model");
    at = close + 1;
  }
  if (!any_place) return wrong(text, "all images would have one id");
  return out;
}

std::string IdTemplate::expand(const ItemFacts& facts, int64_t unix_s) const {
  return fill(facts, std::to_string(unix_s));
}

std::string IdTemplate::stable_part(const ItemFacts& facts) const {
  return fill(facts, "{unix}");
}

bool IdTemplate::has_content() const {
  return std::ranges::any_of(pieces_, [](const Piece& p) { return p.is_place && p.text == "sha"; });
}

std::string IdTemplate::fill(const ItemFacts& facts, const std::string& unix_text) const {
  const std::filesystem::path path(facts.path);
  std::string out;
  for (const Piece& piece : pieces_) {
    if (!piece.is_place) out += piece.text;
    if (!piece.is_place) continue;
    if (piece.text == "stem") out += path.stem().string();
    if (piece.text == "name") out += path.filename().string();
    if (piece.text == "sha") out += content_id(facts);
    if (piece.text == "unix") out += unix_text;
    if (piece.text == "model") out += facts.model_name;
  }
  return out;
}

}  // namespace ca4::producer
