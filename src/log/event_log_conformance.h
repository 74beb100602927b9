// What every EventLog must do, as one parameterised test suite. An implementation gives it a
// LogUnderTest and instantiates it:
//   INSTANTIATE_TEST_SUITE_P(Memory, EventLogConformance,
//   testing::Values(&make_memory_under_test));
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "log/event_log.h"

namespace ca4::log {

// Makes logs of one implementation over one storage.
class LogUnderTest {
 public:
  virtual ~LogUnderTest() = default;
  // Opens the log; again, after the last one is closed, with what it held when `durable`.
  virtual std::unique_ptr<EventLog> open() = 0;
  // A log over fresh storage that must refuse appends before they sum up to `bytes`, as long as
  // nobody commits. Null when the log has no size limit of its own.
  virtual std::unique_ptr<EventLog> open_bounded(size_t bytes) = 0;
  virtual bool durable() const = 0;
};

using MakeLogUnderTest = std::unique_ptr<LogUnderTest> (*)();

class EventLogConformance : public testing::TestWithParam<MakeLogUnderTest> {
 protected:
  void SetUp() override;

  std::unique_ptr<LogUnderTest> under_test_;
  std::unique_ptr<EventLog> log_;
};

// Appends one record a value, each in a batch of its own, and expects success. Returns the offsets.
std::vector<int64_t> append_values(EventLog& log, const std::vector<std::string>& values);

// Polls until the first records come, for 20 s at most: a group may take a moment to find together.
Result<std::vector<Record>> poll_first(Consumer& consumer, PollLimits limits);

// Polls until `count` records are there, for 20 s at most.
std::vector<Record> poll_records(Consumer& consumer, size_t count);

// Polls until a poll brings nothing: all there is, where the log is on this disk and has no leaders
// to wait for.
std::vector<Record> poll_all(Consumer& consumer);

std::vector<std::string> values_of(const std::vector<Record>& records);

}  // namespace ca4::log
