// A reader of an embedded log, for a group or, as a scan, for nobody.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "log/event_log.h"
#include "log/extent.h"
#include "log/group_offsets.h"
#include "log/record_reader.h"

namespace ca4::log {

class EmbeddedConsumer final : public Consumer {
 public:
  // Reads `path` with its own connection. `extent`: of the writer in this process; null beside a
  // writer of another one, which is then looked at every `poll_ms`.
  EmbeddedConsumer(std::string path, std::string group, std::shared_ptr<GroupOffsets> offsets,
                   std::shared_ptr<Extent> extent, int64_t poll_ms);
  // A scan: fixes where it begins.
  static Result<std::unique_ptr<EmbeddedConsumer>> scan(From from, std::string path,
                                                        std::shared_ptr<Extent> extent,
                                                        int64_t poll_ms);

  Result<std::vector<Record>> poll(const PollLimits& limits) override;
  Status commit(const std::vector<Position>& next) override;
  Status rewind() override;
  void interrupt() override;

 private:
  Result<bool> opened();
  Result<int64_t> committed();
  Result<std::vector<Record>> read(const PollLimits& limits);

  const std::string path_;
  const std::string group_;
  const std::shared_ptr<GroupOffsets> offsets_;  // none: a scan
  const bool writer_is_here_;
  const std::shared_ptr<Extent> extent_;  // never null: beside another process, only for `wake`
  const int64_t poll_ms_;
  std::atomic<bool> interrupted_ = false;
  std::optional<RecordReader> reader_;  // none until there is a file
  int64_t next_ = 0;
  std::optional<int64_t> scan_from_;  // of a scan; none: the oldest there is
};

// Where a group reads on that committed `committed`, in a log that has [begin, end). A position
// past the end was committed in a log that has lost its newest records (a restored copy): all is
// read again, so that nothing new is skipped.
int64_t resume_at(std::optional<int64_t> committed, int64_t begin, int64_t end);

}  // namespace ca4::log
