#include "log/wire_values.h"

#include <utility>

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

class WireValuesLog final : public EventLog {
 public:
  WireValuesLog(std::unique_ptr<EventLog> target, ValueFormat format)
      : target_(std::move(target)), format_(format) {}

  void append(std::vector<NewRecord> batch, AppendDone done) override {
    for (NewRecord& record : batch) convert(record, format_);
    target_->append(std::move(batch), std::move(done));
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
};

}  // namespace

event::Origin origin_of(const Headers& headers, int64_t appended_at_us) {
  event::Origin origin{.appended_at_us = appended_at_us};
  if (const std::string* version = find_header(headers, event::kVersionHeader)) {
    origin.version = event::parse_version(*version);
  }
  return origin;
}

std::unique_ptr<EventLog> with_wire_values(std::unique_ptr<EventLog> target, ValueFormat format) {
  return std::make_unique<WireValuesLog>(std::move(target), format);
}

}  // namespace ca4::log
