// NumPy's array file, format version 1.0, as numpy.load reads it. Specification: NumPy's
// documentation of numpy.lib.format ("NPY format") and NEP 1.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/status.h"

namespace ca4::archive {

// What stands before rows × dim little-endian float32 in row order: magic, version, the length of
// the text, the text, padded with spaces so that the numbers begin at a multiple of 64 bytes.
std::string npy_header(size_t rows, size_t dim);

struct NpyMatrix {
  size_t rows = 0;
  size_t dim = 0;
  std::string_view numbers;  // rows × dim × 4 bytes, into the file's bytes

  std::string_view row(size_t i) const { return numbers.substr(i * dim * 4, dim * 4); }
};

// A file that begins with `npy_header`; kCorruption when it is another, or cut off.
Result<NpyMatrix> read_npy(std::string_view file);

}  // namespace ca4::archive
