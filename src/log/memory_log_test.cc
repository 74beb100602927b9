#include "log/memory_log.h"

#include "log/event_log_conformance.h"

namespace ca4::log {
namespace {

class MemoryUnderTest final : public LogUnderTest {
 public:
  std::unique_ptr<EventLog> open() override {
    return std::make_unique<MemoryLog>(MemoryLogOptions{}, clock_);
  }
  std::unique_ptr<EventLog> open_bounded(size_t bytes) override {
    return std::make_unique<MemoryLog>(MemoryLogOptions{.bytes_max = bytes}, clock_);
  }
  bool durable() const override { return false; }

 private:
  SystemClock clock_;
};

INSTANTIATE_TEST_SUITE_P(Memory, EventLogConformance,
                         testing::Values(+[]() -> std::unique_ptr<LogUnderTest> {
                           return std::make_unique<MemoryUnderTest>();
                         }),
                         [](const auto&) { return "log"; });

TEST(MemoryLog, BatchLargerThanTheLogIsRefusedForGood) {
  SystemClock clock;
  MemoryLog log({.bytes_max = 10}, clock);
  EXPECT_EQ(append_and_wait(log, {{"", std::string(11, 'x'), {}}}).status().code(),
            Code::kTooLarge);
}

}  // namespace
}  // namespace ca4::log
