// "did you mean": the known word nearest to a mistyped one.
#pragma once

#include <span>
#include <string_view>

namespace ca4::config {

// How many insertions, deletions, replacements and swaps of neighbours turn `a` into `b` (optimal
// string alignment distance), in bytes.
size_t edit_distance(std::string_view a, std::string_view b);

// The nearest of `known`, the first of equals; empty when none is near enough to be a slip of the
// finger (a third of the word's length, at least one edit, at most three) and none begins with
// `typed`.
std::string_view nearest(std::string_view typed, std::span<const std::string_view> known);

}  // namespace ca4::config
