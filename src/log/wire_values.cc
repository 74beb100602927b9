#include "log/wire_values.h"

#include <utility>

#include "log/append_queue.h"

namespace ca4::log {
namespace {

void convert(NewRecord& record, ValueFormat format) {
  const Result<event::EventView> event = event::decode(record.value);
  if (!event) return;
  if (find_header(record.headers, event::kVersionHeader) == nullptr) {
    record.headers.emplace_back(event::kVersionHeader, std::to_string(event->version));
  }
  if (format == ValueFormat::kJson) record.value = event::to_wire_json(*event);
}

// Four bytes of a float32 are at most 15 characters and a comma; what else is in a record hardly
// grows.
constexpr size_t kGrowthMax = 4;
constexpr size_t kAdded = 256;  // names of JSON's fields, a header

class WireValuesLog final : public EventLog {
 public:
  WireValuesLog(std::unique_ptr<EventLog> target, ValueFormat format, size_t record_bytes_max)
      : target_(std::move(target)), format_(format), record_bytes_max_(record_bytes_max) {}

  void append(std::vector<NewRecord> batch, AppendDone done) override {
    for (NewRecord& record : batch) convert(record, format_);
    target_->append(std::move(batch), std::move(done));
  }
  Status admits(const NewRecord& record) const override {
    const size_t bytes = record_bytes(record) + kAdded;
    if (bytes <= record_bytes_max_ / kGrowthMax) return Status::ok();
    NewRecord converted = record;
    convert(converted, format_);
    return target_->admits(converted);
  }
  Result<std::unique_ptr<Consumer>> consumer(const std::string& group) override {
    return target_->consumer(group);
  }
  Result<std::unique_ptr<Consumer>> scan(From from) override { return target_->scan(from); }
  Result<std::vector<Record>> newest() override { return target_->newest(); }
  Result<std::vector<PartitionLag>> lag(const std::string& group) override {
    return target_->lag(group);
  }
  Result<Description> describe() override { return target_->describe(); }
  Status ready() override { return target_->ready(); }
  size_t queue_depth() const override { return target_->queue_depth(); }
  void close() override { target_->close(); }
  const std::string& topic() const override { return target_->topic(); }

 private:
  const std::unique_ptr<EventLog> target_;
  const ValueFormat format_;
  const size_t record_bytes_max_;
};

}  // namespace

event::Origin origin_of(const Headers& headers, int64_t appended_at_us) {
  event::Origin origin{.appended_at_us = appended_at_us};
  if (const std::string* version = find_header(headers, event::kVersionHeader)) {
    origin.version = event::parse_version(*version);
  }
  return origin;
}

std::unique_ptr<EventLog> with_wire_values(std::unique_ptr<EventLog> target, ValueFormat format,
                                           size_t record_bytes_max) {
  return std::make_unique<WireValuesLog>(std::move(target), format, record_bytes_max);
}

}  // namespace ca4::log
