// Rows of a CSV file as Python's csv module writes it (RFC 4180): fields with commas, quotes or
// line breaks in quotes, quotes doubled, lines ended by CR LF or LF.
//
// Ours, because a file that grew by appending has rows that a crash cut off in the middle, and the
// parsers there are (libcsv, the only one for C or C++ in Debian 12) end at the first of them or
// swallow all that follows. Here such a row is told with its line, and reading goes on at the next
// line that begins as a row of the outbox does: with a Unix time and a comma.
#pragma once

#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace ca4::cli {

struct CsvRow {
  int64_t line = 0;      // on which it begins, from 1
  std::string_view raw;  // as it stands in the file, without the line's end; valid until `next`
  std::vector<std::string> fields;
  // Why this is no row; `fields` is empty then. Where it is too large, `raw` is empty too.
  std::string damage;
};

// One thread at a time.
class CsvReader {
 public:
  // A row is held in memory. The largest event (65,536 floats) has 1.5 MB as text; what is larger
  // has its bytes elsewhere, and more than a request body may have inflated is refused here too.
  static constexpr size_t kRowBytesMax = 64U << 20;

  // kNotFound, or kIo with the path. Reads nothing yet. A byte order mark is skipped.
  static Result<CsvReader> open(const std::string& path, size_t row_bytes_max = kRowBytesMax);

  // The next row, blank lines left out; none at the end of the file. kIo when it can't be read.
  Result<std::optional<CsvRow>> next();

 private:
  CsvReader(std::ifstream in, std::string path, size_t row_bytes_max);

  bool has(size_t at);
  char peek(size_t at) { return has(at) ? text_[at] : '\0'; }
  size_t line_end(size_t at);
  void skip_blank_lines();
  bool read_field(size_t& at, std::string& field, std::string& damage);
  bool read_quoted(size_t& at, std::string& field, std::string& damage);
  bool begins_a_row(size_t at);
  bool go_on_behind(size_t at);
  void consume(size_t end);

  std::ifstream in_;
  std::string path_;
  size_t row_bytes_max_;
  std::string text_;  // what was read and not consumed; the row begins at begin_
  size_t begin_ = 0;
  bool begun_ = false;
  int64_t line_ = 1;  // at begin_
};

}  // namespace ca4::cli
