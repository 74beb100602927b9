#include "store/ranking.h"

#include <cmath>

#include "store/cosine.h"

namespace ca4::store {
namespace {

bool contains_folded(const std::optional<std::string>& text, const std::string& part) {
  return text && fold_case(*text).find(part) != std::string::npos;
}

}  // namespace

std::string fold_case(std::string_view text) {
  std::string folded(text);
  for (char& c : folded) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return folded;
}

bool matches(const Document& document, const Filter& filter) {
  if (filter.metadata_id && document.metadata_id != *filter.metadata_id) return false;
  if (filter.pipeline && document.pipeline != *filter.pipeline) return false;
  if (filter.model && document.model_name != filter.model) return false;
  if (filter.from_us && document.ingested_at_us < *filter.from_us) return false;
  if (filter.until_us && document.ingested_at_us >= *filter.until_us) return false;
  if (!filter.device) return true;
  const std::string part = fold_case(*filter.device);
  return contains_folded(document.gpu.name, part) || contains_folded(document.gpu.device, part);
}

bool has_direction(double norm) {
  return norm > 0 && std::isfinite(norm);
}

Status check_query(std::span<const float> query) {
  if (query.empty()) return {Code::kInvalidArgument, "similar: the query embedding is empty"};
  if (has_direction(l2_norm(query))) return Status::ok();
  return {Code::kInvalidArgument,
          "similar: the query embedding is all zeros or not finite: it has no direction"};
}

}  // namespace ca4::store
