// An event log that lives in memory: for tests, and where losing everything at exit is fine.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "log/event_log.h"

namespace ca4::log {

struct MemoryLogOptions {
  std::string topic = "gpu-metadata";
  // When full, what every group has committed goes first (never the newest record); then appends
  // are refused with kOverloaded.
  size_t bytes_max = 64U << 20;
  size_t records_max = 65'536;
};

// One partition, 0; offsets from 0 on. `done` is called from the appending thread, before `append`
// returns. Consumers may outlive the log. A closed log can't be opened again.
class MemoryLog final : public EventLog {
 public:
  // `clock` must outlive the log.
  MemoryLog(MemoryLogOptions options, const Clock& clock);
  ~MemoryLog() override;

  void append(std::vector<NewRecord> batch, AppendDone done) override;
  Status admits(const NewRecord& record) const override;
  Result<std::unique_ptr<Consumer>> consumer(const std::string& group) override;
  Result<std::unique_ptr<Consumer>> scan(From from) override;
  Result<std::vector<Record>> newest() override;
  Result<std::vector<PartitionLag>> lag(const std::string& group) override;
  Status ready() override;
  size_t queue_depth() const override { return 0; }
  void close() override;
  const std::string& topic() const override { return options_.topic; }

  struct State;

 private:
  const MemoryLogOptions options_;
  const Clock& clock_;
  std::shared_ptr<State> state_;
};

}  // namespace ca4::log
