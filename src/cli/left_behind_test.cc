#include "cli/left_behind.h"

#include <gmock/gmock.h>

#include "base/clock.h"
#include "base/test_dir.h"
#include "cli/embedded_ports.h"
#include "cli/spool_ports.h"
#include "worker/worker.h"

namespace ca4::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class LeftBehindTest : public testing::Test {
 protected:
  LeftBehindTest() { settings_.data_dir = dir_ / "data"; }

  void append(log::EventLog& log, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(log::append_and_wait(log, {{"key", "value", {}}}).is_ok());
    }
  }

  std::vector<std::string> on_kafka(bool outbox) {
    config::Settings settings = settings_;
    settings.kafka.bootstrap = "kafka:9092";
    settings.kafka.outbox = outbox;
    return left_behind(settings);
  }

  TempDir dir_;
  const SystemClock clock_;
  config::Settings settings_;
};

TEST_F(LeftBehindTest, NothingIsToldOfADataDirectoryThatIsNotThere) {
  EXPECT_THAT(left_behind(settings_), IsEmpty());
  EXPECT_THAT(on_kafka(true), IsEmpty());
  EXPECT_THAT(on_kafka(false), IsEmpty());
}

TEST_F(LeftBehindTest, EventsOfAnOutboxThatIsNotUsedAreTold) {
  append(**open_outbox({settings_, clock_}), 2);
  EXPECT_THAT(left_behind(settings_), ElementsAre(AllOf(HasSubstr("2 acknowledged events wait in"),
                                                        HasSubstr("KAFKA_BOOTSTRAP"))));
  EXPECT_THAT(on_kafka(false), ElementsAre(HasSubstr("kafka.outbox = true")));
  EXPECT_THAT(on_kafka(true), IsEmpty());  // they are sent
}

TEST_F(LeftBehindTest, EventsOfTheEmbeddedLogAreToldWhereThereIsKafka) {
  settings_.archive.enabled = false;
  const auto log = embedded_events({settings_, clock_}, {.accepts = true}).value();
  append(*log, 3);
  EXPECT_THAT(left_behind(settings_), IsEmpty());
  EXPECT_THAT(on_kafka(true), ElementsAre(HasSubstr("3 acknowledged events of")));
  ASSERT_TRUE(log->consumer(worker::kWorkerGroup).value()->commit({{0, 3}}).is_ok());
  EXPECT_THAT(on_kafka(true), IsEmpty());
  // The archiver is a reader too.
  settings_.archive.enabled = true;
  EXPECT_THAT(on_kafka(true), ElementsAre(HasSubstr("3 acknowledged events of")));
}

TEST_F(LeftBehindTest, EventsOfAnotherTopicAreToldUnlessSomebodyHasThem) {
  settings_.log.topic = "old";
  auto outbox = open_outbox({settings_, clock_}).value();
  append(*outbox, 2);
  auto log = embedded_events({settings_, clock_}, {.accepts = true}).value();
  append(*log, 3);
  settings_.log.topic = "new";
  EXPECT_THAT(left_behind(settings_), IsEmpty());  // their processors run
  outbox.reset();
  log.reset();
  const auto told = [](const char* count, const char* file) {
    return AllOf(HasSubstr(count), HasSubstr(file), HasSubstr("log.topic = \"old\""));
  };
  const auto both =
      ElementsAre(told("2 acknowledged", "/outbox/old.db"), told("3 acknowledged", "/log/old.db"));
  EXPECT_THAT(left_behind(settings_), both);
  EXPECT_THAT(on_kafka(true), both);
  settings_.kafka.outbox_file = dir_ / "elsewhere.db";
  EXPECT_THAT(on_kafka(true)[0], HasSubstr("without kafka.outbox_file"));
  const auto of_the_outbox = ElementsAre(HasSubstr("/outbox/old.db"));
  config::Settings old = settings_;
  old.log.topic = "old";
  auto letters = embedded_dead_letters({old, clock_}, true).value();  // its worker runs
  EXPECT_THAT(left_behind(settings_), of_the_outbox);
  letters.reset();
  EXPECT_THAT(left_behind(settings_), both);
  const auto reading = embedded_events({old, clock_}, {}).value();
  ASSERT_TRUE(reading->consumer(worker::kWorkerGroup).value()->commit({{0, 3}}).is_ok());
  EXPECT_THAT(left_behind(settings_), of_the_outbox);
}

}  // namespace
}  // namespace ca4::cli
