#include "cli/csv_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace ca4::cli {
namespace {

#ifdef CA4_FUZZING
constexpr size_t kReadBytes = 100;  // inputs are small: a row goes on behind what was read
#else
constexpr size_t kReadBytes = 1U << 20;
#endif
// A time, however many digits it has, and its comma.
constexpr size_t kTimeBytesMax = 40;
constexpr std::string_view kTimeLetters = "0123456789.eE+-";

}  // namespace

Result<CsvReader> CsvReader::open(const std::string& path, size_t row_bytes_max) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return Status(errno == ENOENT ? Code::kNotFound : Code::kIo,
                  fmt::format("{}: {}", path, strerror(errno)));
  }
  return CsvReader(std::move(in), path, row_bytes_max);
}

CsvReader::CsvReader(std::ifstream in, std::string path, size_t row_bytes_max)
    : in_(std::move(in)), path_(std::move(path)), row_bytes_max_(row_bytes_max) {}

// Whether there is a byte at `at`, an index into text_; reads on until there is.
bool CsvReader::has(size_t at) {
  while (at >= text_.size() && in_) {
    const size_t size = text_.size();
    text_.resize(size + kReadBytes);
    in_.read(text_.data() + size, kReadBytes);
    text_.resize(size + static_cast<size_t>(in_.gcount()));
  }
  return at < text_.size();
}

// How many bytes end a line at `at`: 0, when none does.
size_t CsvReader::line_end(size_t at) {
  if (peek(at) == '\n') return 1;
  return peek(at) == '\r' && peek(at + 1) == '\n' ? 2 : 0;
}

// What is in front of `end` was dealt with.
void CsvReader::consume(size_t end) {
  line_ += std::count(text_.begin() + static_cast<std::ptrdiff_t>(begin_),
                      text_.begin() + static_cast<std::ptrdiff_t>(end), '\n');
  begin_ = end;
}

void CsvReader::skip_blank_lines() {
  for (size_t bytes = line_end(begin_); bytes > 0; bytes = line_end(begin_)) {
    consume(begin_ + bytes);
  }
}

Result<std::optional<CsvRow>> CsvReader::next() {
  if (!std::exchange(begun_, true) && has(2) && text_.starts_with("\xEF\xBB\xBF")) begin_ = 3;
  if (begin_ >= kReadBytes) {
    text_.erase(0, begin_);
    begin_ = 0;
  }
  skip_blank_lines();
  if (!has(begin_)) {
    if (in_.bad()) return Status(Code::kIo, path_ + ": can't be read");
    return std::optional<CsvRow>();
  }
  CsvRow row;
  row.line = line_;
  const size_t from = begin_;
  size_t end = from;
  while (read_field(end, row.fields.emplace_back(), row.damage) && peek(end) == ',') ++end;
  bool whole = true;
  if (row.damage.empty()) {
    consume(end + line_end(end));
  } else {
    row.fields.clear();
    whole = go_on_behind(end);
    end = begin_;
  }
  if (whole) row.raw = std::string_view(text_).substr(from, end - from);
  while (row.raw.ends_with('\n') || row.raw.ends_with('\r')) row.raw.remove_suffix(1);
  return std::optional(std::move(row));
}

// Leaves `at` at the comma or line end behind the field, or at the end of the file.
bool CsvReader::read_field(size_t& at, std::string& field, std::string& damage) {
  if (peek(at) == '"') return read_quoted(at, field, damage);
  for (; has(at) && text_[at] != ',' && line_end(at) == 0; ++at) {
    if (text_[at] == '"') {
      damage = "a quote in the middle of a field";
      return false;
    }
    if (at - begin_ >= row_bytes_max_) {
      damage = fmt::format("more than {} bytes in a row", row_bytes_max_);
      return false;
    }
    field += text_[at];
  }
  return true;
}

bool CsvReader::read_quoted(size_t& at, std::string& field, std::string& damage) {
  ++at;
  while (has(at)) {
    const size_t quote = std::min(text_.find('"', at), text_.size());
    if (quote - begin_ > row_bytes_max_) {
      damage = fmt::format("more than {} bytes in a row", row_bytes_max_);
      return false;
    }
    field.append(text_, at, quote - at);
    at = quote;
    if (!has(at)) break;
    if (text_[at] != '"') continue;  // more was read
    ++at;
    if (peek(at) != '"') {
      if (!has(at) || text_[at] == ',' || line_end(at) > 0) return true;
      damage = "text behind a closing quote: the row, or one in front of it, was cut off";
      return false;
    }
    field += '"';
    ++at;
  }
  damage = "the file ends inside a quoted field: the row was cut off";
  return false;
}

bool CsvReader::begins_a_row(size_t at) {
  if (!has(at)) return true;  // the end of the file
  (void)has(at + kTimeBytesMax);
  std::string_view text = std::string_view(text_).substr(at, kTimeBytesMax);
  if (text.starts_with('"')) text.remove_prefix(1);
  size_t digits = text.find_first_not_of(kTimeLetters);
  if (digits == 0 || digits == text.npos) return false;
  if (text[digits] == '"') ++digits;
  return digits < text.size() && text[digits] == ',';
}

// To the next line behind `at` that begins a row. False when so much was skipped that it was not
// kept.
bool CsvReader::go_on_behind(size_t at) {
  bool whole = true;
  while (true) {
    const size_t newline = text_.find('\n', at);
    at = newline == text_.npos ? text_.size() : newline + 1;
    if (newline != text_.npos && begins_a_row(at)) break;
    if (!has(at)) break;
    if (at - begin_ > row_bytes_max_) {
      whole = false;
      consume(at);
      text_.erase(0, at);
      begin_ = 0;
      at = 0;
    }
  }
  consume(at);
  return whole;
}

}  // namespace ca4::cli
