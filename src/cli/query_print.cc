#include "cli/query_print.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <ctime>

#include "base/io_error.h"

namespace ca4::cli {
namespace {

struct Column {
  std::string_view title;
  bool gives_way;      // may be cut when the terminal is narrow
  bool keeps_end;      // cut at the front: the end of a path tells more
  bool right_aligned;  // numbers
};

constexpr std::array<Column, TableRow::kColumns> kColumns = {{
    {"COSINE", false, false, true},
    {"ID", true, false, false},
    {"ACCEPTED", false, false, false},
    {"DIM", false, false, true},
    {"PIPELINE", true, false, false},
    {"GPU", true, false, false},
    {"MODEL", true, false, false},
    {"SOURCE", true, true, false},
}};
constexpr size_t kGap = 2;
constexpr size_t kWidthMin = 8;
constexpr std::string_view kCut = "…";

struct Character {
  uint32_t code = 0;
  size_t bytes = 1;
};

// The first character of `text`, which is not empty; what is no UTF-8 counts byte by byte.
Character first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t bytes = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (bytes == 1 || bytes > text.size()) return {lead, 1};
  uint32_t code = lead & (0x7fU >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    code = (code << 6U) | (static_cast<unsigned char>(text[i]) & 0x3fU);
  }
  return {code, bytes};
}

// The blocks that are wide as a whole in Unicode's EastAsianWidth.txt; single wide characters
// elsewhere only cost a little alignment.
size_t width_of(uint32_t code) {
  constexpr std::pair<uint32_t, uint32_t> kWide[] = {
      {0x1100, 0x115f},   {0x2e80, 0xa4cf},   {0xac00, 0xd7a3},  {0xf900, 0xfaff},
      {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},  {0x1f300, 0x1f64f},
      {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd}};
  for (const auto& [first, last] : kWide) {
    if (code >= first && code <= last) return 2;
  }
  return 1;
}

// Without the characters that steer a terminal: they come from whoever sent the event.
std::string visible(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Character c = first_character(text);
    const bool control = c.code < 0x20 || (c.code >= 0x7f && c.code < 0xa0);
    out += control ? std::string_view("?") : text.substr(0, c.bytes);
    text.remove_prefix(c.bytes);
  }
  return out;
}

// The first characters of `text` that fit into `width` columns.
std::string_view first_columns(std::string_view text, size_t width) {
  size_t end = 0;
  size_t used = 0;
  while (end < text.size()) {
    const Character c = first_character(text.substr(end));
    used += width_of(c.code);
    if (used > width) break;
    end += c.bytes;
  }
  return text.substr(0, end);
}

std::string cut(const std::string& text, size_t width, bool keeps_end) {
  const size_t has = display_width(text);
  if (has <= width) return text;
  if (!keeps_end) return std::string(first_columns(text, width - 1)).append(kCut);
  std::string_view rest = text;
  for (size_t left = has; left > width - 1;) {
    const Character c = first_character(rest);
    left -= width_of(c.code);
    rest.remove_prefix(c.bytes);
  }
  return std::string(kCut).append(rest);
}

std::string local_time(int64_t unix_us) {
  const time_t seconds = static_cast<time_t>(unix_us / 1'000'000);
  tm local{};
  localtime_r(&seconds, &local);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local)};
}

}  // namespace

size_t display_width(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const Character c = first_character(text);
    width += width_of(c.code);
    text.remove_prefix(c.bytes);
  }
  return width;
}

TableRow table_row(const store::Document& document, std::optional<double> cosine) {
  const std::string gpu = document.gpu.name.value_or(document.gpu.device.value_or(std::string()));
  return {{cosine ? fmt::format("{:.4f}", *cosine) : std::string(), visible(document.metadata_id),
           local_time(document.ingested_at_us), fmt::format("{}", document.embedding_dim),
           visible(document.pipeline), visible(gpu), visible(document.model_name.value_or("")),
           visible(document.source_uri.value_or(""))}};
}

Table::Table(const std::vector<TableRow>& rows, size_t width_max) {
  size_t total = 0;
  for (size_t c = 0; c < kColumns.size(); ++c) {
    size_t widest = 0;
    for (const TableRow& row : rows) widest = std::max(widest, display_width(row.cells[c]));
    if (widest == 0) continue;
    widths_[c] = std::max(widest, kColumns[c].title.size());
    total += widths_[c] + kGap;
  }
  if (width_max == 0) return;
  for (; total > width_max + kGap; --total) {
    size_t* widest = nullptr;
    for (size_t c = 0; c < kColumns.size(); ++c) {
      const bool may = kColumns[c].gives_way && widths_[c] > kWidthMin;
      if (may && (widest == nullptr || widths_[c] > *widest)) widest = &widths_[c];
    }
    if (widest == nullptr) return;
    --*widest;
  }
}

std::string Table::head() const {
  TableRow titles;
  for (size_t c = 0; c < kColumns.size(); ++c) titles.cells[c] = kColumns[c].title;
  return line(titles);
}

std::string Table::line(const TableRow& row) const {
  std::string text;
  for (size_t c = 0; c < kColumns.size(); ++c) {
    if (widths_[c] == 0) continue;
    const std::string cell = cut(row.cells[c], widths_[c], kColumns[c].keeps_end);
    const std::string padding(widths_[c] - display_width(cell), ' ');
    text += kColumns[c].right_aligned ? padding + cell : cell + padding;
    text.append(kGap, ' ');
  }
  text.erase(text.find_last_not_of(' ') + 1);
  return text + '\n';
}

std::string document_json(const store::Document& document, std::optional<double> cosine,
                          bool with_embedding) {
  std::string json = store::to_json(document, with_embedding);
  if (!cosine) return json;
  return fmt::format("{{\"cosine\":{},{}", *cosine, std::string_view(json).substr(1));
}

bool Output::write(std::string_view text) {
  constexpr size_t kPieceBytes = 64 * 1024;  // a pipe's size
  pending_ += text;
  if (pending_.size() >= kPieceBytes) flush();
  return errno_ == 0;
}

void Output::flush() {
  std::string_view rest = pending_;
  while (errno_ == 0 && !rest.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      errno_ = errno;
    }
  }
  pending_.clear();
}

Status Output::finish() {
  flush();
  if (errno_ == 0 || errno_ == EPIPE) return Status::ok();
  return io_error("standard output", errno_);
}

}  // namespace ca4::cli
