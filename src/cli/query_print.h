// Found documents as text: a table for people, JSON for programs.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "store/document_store.h"

namespace ca4::cli {

// A line of the table, cells in the order of its columns.
struct TableRow {
  static constexpr size_t kColumns = 8;
  // cosine, id, accepted, dim, pipeline, gpu, model, source
  std::array<std::string, kColumns> cells;
};

// `cosine` is empty outside of a similarity search. The time is the local one.
TableRow table_row(const store::Document& document, std::optional<double> cosine);

// Column widths for `rows`; when the lines would be wider than `width_max` (0: any width will do)
// the widest columns give way, as far as 8 columns each.
class Table {
 public:
  Table(const std::vector<TableRow>& rows, size_t width_max);
  // Lines end in '\n'. A column that no row fills is left out.
  std::string head() const;
  std::string line(const TableRow& row) const;

 private:
  std::array<size_t, TableRow::kColumns> widths_{};  // 0: left out
};

// How many terminal columns `text` (UTF-8) takes; East Asian wide characters and emoji take two.
size_t display_width(std::string_view text);

// The document as one JSON object, with "cosine" first where given.
std::string document_json(const store::Document& document, std::optional<double> cosine,
                          bool with_embedding);

// Standard output in large pieces. A reader that went away (`| head`) is no error.
class Output {
 public:
  Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // False when nobody reads any more, or writing failed: stop.
  bool write(std::string_view text);
  // Writes what is held back. kIo with the system's reason, but ok when the reader went away.
  Status finish();

 private:
  void flush();

  std::string pending_;
  int errno_ = 0;
};

}  // namespace ca4::cli
