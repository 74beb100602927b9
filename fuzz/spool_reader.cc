// What takes events from an outbox or an embedded log after a crash: the writer opens a damaged
// file or says why not, and a reader's polls come to an end, with no event that was never written.
#include <filesystem>

#include "log_file.h"

using namespace ca4;
using namespace ca4::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const LogSeed seed;
  static const TempDir dir;
  static const ManualClock clock(1'800'000'001'000'000);
  const std::string file = dir / "spool.db";
  for (const char* rest : {"-wal", "-shm", "-offsets", "-offsets-wal", "-offsets-shm"})
    std::filesystem::remove(file + rest);
  seed.write_damaged(text_of(data, size), file);
  auto opened = log::EmbeddedLog::open({.file = file, .groups = {"reader"}}, clock);
  if (!opened) return 0;
  auto consumer = (*opened)->consumer("reader");
  if (!consumer) return 0;
  log::Position next;
  // A damaged end can be anywhere: a reader that is told so many lost offsets has told enough.
  for (int poll = 0; poll < 4; ++poll) {
    const auto records = (*consumer)->poll({.wait_ms_max = 0});
    if (!records || records->empty()) break;
    for (const log::Record& record : *records) {
      require(record.position.offset >= next.offset, "offsets go forward");
      next.offset = record.position.offset + 1;
      if (event::decode(record.value))
        require(seed.wrote(record.value), "an event that was written");
    }
    (void)(*consumer)->commit({next});
  }
  // What can still be written to takes an event, and gives it back.
  (void)log::append_and_wait(**opened, {{"k", "v", {}}});
  return 0;
}
