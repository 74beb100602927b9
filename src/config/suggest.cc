#include "config/suggest.h"

#include <algorithm>
#include <vector>

namespace ca4::config {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replace});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

std::string_view nearest(std::string_view typed, std::span<const std::string_view> known) {
  // What was typed may be of any length; a word that long is nobody's slip.
  constexpr size_t kTypedBytesMax = 64;
  if (typed.empty() || typed.size() > kTypedBytesMax) return {};

  std::string_view best;
  size_t best_distance = std::clamp<size_t>(typed.size() / 3, 1, 3) + 1;
  for (const std::string_view word : known) {
    const size_t distance = edit_distance(typed, word);
    if (distance < best_distance) {
      best = word;
      best_distance = distance;
    }
  }
  if (!best.empty() || typed.size() < 3) return best;
  const auto longer = std::find_if(known.begin(), known.end(),
                                   [&](std::string_view word) { return word.starts_with(typed); });
  return longer == known.end() ? std::string_view{} : *longer;
}

}  // namespace ca4::config
