// The best k of many, and which documents a filter means: what every store here needs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/document_store.h"

namespace ca4::store {

struct Ranked {
  double cosine = 0;
  int64_t row = 0;
};

// Keeps the k best of what is offered: larger cosine first, of equal ones the smaller row.
class TopK {
 public:
  explicit TopK(size_t k) : k_(k) {}
  void offer(double cosine, int64_t row);
  void merge(const TopK& other);
  // Best first. Leaves nothing behind.
  std::vector<Ranked> take();

 private:
  size_t k_;
  std::vector<Ranked> heap_;  // the worst of the kept ones at the front
};

// ASCII letters to lower case: what "case-insensitive" means for the device filter everywhere.
std::string fold_case(std::string_view text);

// Whether all conditions of `filter` hold for `document`.
bool matches(const Document& document, const Filter& filter);

// Whether a vector of this length points anywhere: not all zeros, nothing infinite in it.
bool has_direction(double norm);

// kInvalidArgument when nothing can be near to `query`: it is empty, all zeros or not finite.
Status check_query(std::span<const float> query);

}  // namespace ca4::store
