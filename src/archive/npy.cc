#include "archive/npy.h"

#include <fmt/format.h>

#include <charconv>

namespace ca4::archive {
namespace {

constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);
constexpr std::string_view kBeforeShape = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
constexpr size_t kAlignment = 64;
constexpr size_t kPrefixBytes = kMagic.size() + 2;  // and the text's length, two bytes

bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

bool take_number(std::string_view& text, size_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return error == std::errc();
}

}  // namespace

std::string npy_header(size_t rows, size_t dim) {
  std::string text = fmt::format("{}{}, {}), }}", kBeforeShape, rows, dim);
  const size_t unpadded = kPrefixBytes + text.size() + 1;
  text.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  text += '\n';
  std::string header(kMagic);
  header += static_cast<char>(text.size() & 0xffU);
  header += static_cast<char>(text.size() >> 8U);
  return header + text;
}

Result<NpyMatrix> read_npy(std::string_view file) {
  std::string_view rest = file;
  NpyMatrix matrix;
  if (!take(rest, kMagic) || rest.size() < 2) {
    return Status(Code::kCorruption, "npy: not a NumPy file of format version 1.0");
  }
  rest.remove_prefix(2);
  if (!take(rest, kBeforeShape) || !take_number(rest, matrix.rows) || !take(rest, ", ") ||
      !take_number(rest, matrix.dim)) {
    return Status(Code::kCorruption, "npy: not a matrix of little-endian float32");
  }
  const std::string header = npy_header(matrix.rows, matrix.dim);
  if (!file.starts_with(header)) return Status(Code::kCorruption, "npy: unexpected header");
  matrix.numbers = file.substr(header.size());
  // Divided, not multiplied: a forged shape must not overflow into the right size.
  const size_t floats = matrix.numbers.size() / 4;
  if (matrix.dim == 0 || matrix.numbers.size() % 4 != 0 || floats % matrix.dim != 0 ||
      floats / matrix.dim != matrix.rows) {
    return Status(Code::kCorruption, fmt::format("npy: {} bytes of numbers for a shape of ({}, {})",
                                                 matrix.numbers.size(), matrix.rows, matrix.dim));
  }
  return matrix;
}

}  // namespace ca4::archive
