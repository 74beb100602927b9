// What looks at an embedded log or an outbox from outside (`ca4 log`, `ca4 spool`): over a damaged
// file it ends, and shows no event that was never written.
#include "log/inspect.h"
#include "log_file.h"

using namespace ca4;
using namespace ca4::fuzz;

namespace {

Status is_event(std::string_view value) {
  return event::decode(value).status();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const LogSeed seed;
  static const TempDir dir;
  const std::string file = dir / "log.db";
  seed.write_damaged(text_of(data, size), file);
  auto opened = log::LogInspector::open_file(file);
  if (!opened) return 0;
  const auto look = [&](const log::StoredRecord& record) {
    if (record.damage.empty() && event::decode(record.value)) {
      require(seed.wrote(record.value), "an event that was written",
              fmt::format("at {}", record.offset));
    }
    return true;
  };
  (void)opened->summary();
  (void)opened->head(10, look);
  (void)opened->tail(10, look);
  (void)opened->from(0, look);
  const Result<log::CheckReport> report = opened->check(is_event);
  if (report)
    require(report->good <= kRecords, "no more good ones than were written",
            std::to_string(report->good));
  return 0;
}
