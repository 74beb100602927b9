// Inner products of embeddings, as fast as memory gives them.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace ca4::store {

// The Euclidean length, summed in double.
double l2_norm(std::span<const float> values);

// The floats as the bytes that a store keeps (little-endian float32, which is what x86-64 and arm64
// hold in memory); valid as long as `values`.
std::string_view as_bytes(std::span<const float> values);

// cos(stored, query) = stored·query / (|stored| |query|), within [-1, 1]. `stored` holds as many
// little-endian float32 as `query`, at any alignment; neither norm may be 0. Sums in float over 64
// lanes: the error stays below 1e-6 for 65,536 dimensions.
double cosine(std::string_view stored, double stored_norm, std::span<const float> query,
              double query_norm);

}  // namespace ca4::store
