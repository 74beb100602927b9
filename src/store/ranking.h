// The best k of many, and which documents a filter means: what every store here needs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/document_store.h"

namespace ca4::store {

// `Row` says which one it is: a row number, or an id.
template <class Row>
struct RankedOf {
  double cosine = 0;
  Row row = {};
};

// Keeps the k best of what is offered: larger cosine first, of equal ones the smaller row.
template <class Row>
class TopKOf {
 public:
  using Ranked = RankedOf<Row>;

  explicit TopKOf(size_t k) : k_(k) {}

  void offer(double cosine, Row row) {
    Ranked candidate{cosine, std::move(row)};
    if (heap_.size() == k_) {
      if (k_ == 0 || !better(candidate, heap_.front())) return;
      std::pop_heap(heap_.begin(), heap_.end(), better);
      heap_.pop_back();
    }
    heap_.push_back(std::move(candidate));
    std::push_heap(heap_.begin(), heap_.end(), better);
  }

  void merge(const TopKOf& other) {
    for (const Ranked& ranked : other.heap_) offer(ranked.cosine, ranked.row);
  }

  // Best first. Leaves nothing behind.
  std::vector<Ranked> take() {
    std::vector<Ranked> ranked = std::move(heap_);
    heap_.clear();
    std::sort(ranked.begin(), ranked.end(), better);
    return ranked;
  }

 private:
  static bool better(const Ranked& a, const Ranked& b) {
    return a.cosine != b.cosine ? a.cosine > b.cosine : a.row < b.row;
  }

  size_t k_;
  std::vector<Ranked> heap_;  // the worst of the kept ones at the front
};

using Ranked = RankedOf<int64_t>;
using TopK = TopKOf<int64_t>;

// ASCII letters to lower case: what "case-insensitive" means for the device filter everywhere.
std::string fold_case(std::string_view text);

// Whether all conditions of `filter` hold for `document`.
bool matches(const Document& document, const Filter& filter);

// Whether a vector of this length points anywhere: not all zeros, nothing infinite in it.
bool has_direction(double norm);

// kInvalidArgument when nothing can be near to `query`: it is empty, all zeros or not finite.
Status check_query(std::span<const float> query);

}  // namespace ca4::store
