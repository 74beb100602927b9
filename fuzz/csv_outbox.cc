// The CSV outbox of older processors: every row is an event or told with its line, and a row that
// is one, written as Python's csv module writes it, gives that very event again.
#include "cli/outbox_csv.h"
#include "support.h"

using namespace ca4;
using namespace ca4::fuzz;

namespace {

// Rows larger than this are told, not kept: small, so that such are found.
constexpr size_t kRowBytesMax = 4096;

std::string written(const cli::CsvRow& row) {
  std::string out;
  for (const std::string& field : row.fields) {
    out += out.empty() ? "\"" : ",\"";
    for (const char c : field) out += c == '"' ? "\"\"" : std::string(1, c);
    out += '"';
  }
  return out + "\r\n";
}

void check_again(const cli::CsvRow& row, const event::Event& event, const Clock& clock) {
  const MemoryFile file(written(row));
  auto reader = cli::CsvReader::open(file.path(), kRowBytesMax * 3).value();
  cli::OutboxRows rows(clock);
  const auto next = reader.next();
  require(next && *next, "a written row is read", row.raw);
  event::Event again;
  std::string why;
  require(rows.read(**next, again, why), "a written row is an event", why);
  again.version = event.version;  // counts rows of one time, which stand in the other file
  require(same(event::view_of(again), event::view_of(event)), "the same event", row.raw);
  const auto end = reader.next();
  require(end && !*end, "and nothing more", row.raw);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const ManualClock clock(1'800'000'000'000'000);
  const std::string_view text = text_of(data, size);
  const MemoryFile file(text);
  auto reader = cli::CsvReader::open(file.path(), kRowBytesMax).value();
  cli::OutboxRows rows(clock);
  int64_t line = 0;
  while (true) {
    const auto next = reader.next();
    require(next.is_ok(), "a file in memory can be read");
    if (!*next) break;
    const cli::CsvRow& row = **next;
    require(row.line > line, "lines go forward", text);
    line = row.line;
    require(row.raw.empty() || text.find(row.raw) != std::string_view::npos, "raw is the file's",
            text);
    event::Event event;
    std::string why;
    if (rows.read(row, event, why)) {
      check_again(row, event, clock);
    } else {
      require(!why.empty(), "what is no event is told", row.raw);
    }
  }
  return 0;
}
