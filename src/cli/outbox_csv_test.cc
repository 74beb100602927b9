#include "cli/outbox_csv.h"

#include <gmock/gmock.h>

#include "base/test_dir.h"
#include "log/embedded_log.h"
#include "log/event_log.h"
#include "log/memory_log.h"

namespace ca4::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

constexpr int64_t kNowUs = 1'800'000'000'000'000;

// As Python's csv.writer writes it.
std::string row(const std::string& time, const std::string& json) {
  std::string quoted;
  for (const char c : json) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return time + ",\"" + quoted + "\"\r\n";
}

std::string row_of(const std::string& id, size_t floats) {
  std::string numbers = "1";
  for (size_t i = 1; i < floats; ++i) numbers += ",1";
  return row("1700000000", R"({"metadata_id":")" + id + R"(","embedding":[)" + numbers + "]}");
}

class OutboxCsvTest : public testing::Test {
 protected:
  // Imports `text`; gives the records, and fills report_ and rejected_.
  std::vector<log::Record> import(const std::string& text, size_t records_max = 65'536) {
    std::ofstream(dir_ / "a.csv", std::ios::binary) << text;
    log::MemoryLog log({.records_max = records_max}, clock_);
    // What a group has not read stays.
    auto reader = log.consumer("g").value();
    CsvReader rows = CsvReader::open(dir_ / "a.csv").value();
    report_ = {};
    rejected_.clear();
    status_ = import_csv(
        rows, log, clock_,
        [this](const CsvRow& bad, const std::string& why) {
          rejected_.push_back(std::to_string(bad.line) + ": " + why);
          return Status::ok();
        },
        report_);
    std::vector<log::Record> all;
    for (auto some = reader->poll({.wait_ms_max = 0}).value(); !some.empty();
         some = reader->poll({.wait_ms_max = 0}).value()) {
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }

  TempDir dir_;
  ManualClock clock_{kNowUs};
  ImportReport report_;
  Status status_;
  std::vector<std::string> rejected_;
};

TEST_F(OutboxCsvTest, ARowIsTheEventThatWouldHaveBeenAcceptedThen) {
  const auto records = import(row(
      "1700000000.25",
      R"({"metadata_id": "img-1", "source_uri": null, "embedding": [0.1, 1e-3, 2], "embedding_dim": 3,)"
      R"( "gpu_hardware": {"name": "T4"}, "extra": {"notes": "a, \"b\""}, "ingested_at": 1699999999.5})"));
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].key, "img-1");
  const event::EventView event = event::decode(records[0].value).value();
  EXPECT_EQ(event.ingested_at_us, 1'700'000'000'250'000);
  EXPECT_EQ(event.version, 1'700'000'000'250'000U);
  EXPECT_THAT(event.embedding(), ElementsAre(0.1F, 0.001F, 2.0F));
  EXPECT_EQ(
      event.meta_json,
      R"({"metadata_id":"img-1","source_uri":null,"embedding_dim":3,"gpu_hardware":{"name":"T4"},)"
      R"("extra":{"notes":"a, \"b\"","pipeline":"unknown"}})");
  EXPECT_EQ(report_.imported, 1U);
  EXPECT_EQ(report_.rejected, 0U);
}

TEST_F(OutboxCsvTest, ImportingTwiceGivesTheSameEvents) {
  const std::string text = row("1700000000", R"({"embedding": [1]})") +
                           row("1700000000", R"({"metadata_id": "a", "embedding": [1]})") +
                           row("1700000000", R"({"metadata_id": "a", "embedding": [2]})") +
                           row("1700000001.5", R"({"embedding": [2], "metadata_id": null})");
  const auto first = import(text);
  const auto second = import(text);
  ASSERT_THAT(first, SizeIs(4));
  ASSERT_THAT(second, SizeIs(4));
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(first[i].value, second[i].value) << i;
  EXPECT_THAT(first[0].key, StartsWith("csv-"));
  EXPECT_EQ(first[0].key.size(), 36U);
  EXPECT_NE(first[0].key, first[3].key);
  // Of two events of one id and one second the later row is the later one.
  EXPECT_LT(event::decode(first[1].value)->version, event::decode(first[2].value)->version);
  EXPECT_LT(event::decode(first[2].value)->version, event::decode(first[3].value)->version);
}

TEST_F(OutboxCsvTest, TheSameContentWithoutAnIdIsOneDocument) {
  const auto records = import(row("1700000000", R"({"embedding": [1], "source_uri": "a"})") +
                              row("1700000009", R"({"source_uri":"a","embedding":[1.0]})"));
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].key, records[1].key);
}

TEST_F(OutboxCsvTest, EachBadRowIsToldWithItsLineAndTheOthersAreImported) {
  const auto records = import(
      row("time", R"({"embedding": [1]})") + row("1700000000", R"({"embedding": [1, NaN]})") +
      row("1700000000", R"({"embedding": []})") + "1700000000\r\n1700000000,a,b\r\n" +
      row("1700000000000", R"({"embedding": [1]})") + row("-5", R"({"embedding": [1]})") +
      row("nan", R"({"embedding": [1]})") + row("1700000000", R"({"embedding": [1], "extra": 5})") +
      "1700000000,\"{\"\"emb1700000000,\"{}\"\r\n" +
      row("1700000000", R"({"metadata_id": "good", "embedding": [1]})"));
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].key, "good");
  EXPECT_EQ(report_.rejected, 10U);
  EXPECT_THAT(
      rejected_,
      ElementsAre(HasSubstr("1: the time is no number: 'time'"), HasSubstr("2: embedding[1]"),
                  HasSubstr("3: embedding: "), HasSubstr("4: 1 columns"), HasSubstr("5: 3 columns"),
                  HasSubstr("6: the time is no Unix time"),
                  HasSubstr("7: the time is no Unix time"), HasSubstr("8: the time is no"),
                  HasSubstr("9: extra: "), HasSubstr("10: text behind a closing quote")));
}

TEST_F(OutboxCsvTest, AQueueThatIsSmallerThanWhatIsReadAtOnceTakesItInParts) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += row_of("id-" + std::to_string(i), 2'048);
  std::ofstream(dir_ / "a.csv", std::ios::binary)
      << text << row_of("giant", 30'000) << row_of("last", 1);
  const auto log =
      log::EmbeddedLog::open({.dir = dir_ / "log", .queue_bytes_max = 100'000}, clock_).value();
  CsvReader rows = CsvReader::open(dir_ / "a.csv").value();
  const auto rejected = [this](const CsvRow& bad, const std::string& why) {
    rejected_.push_back(std::to_string(bad.line) + ": " + why);
    return Status::ok();
  };
  EXPECT_TRUE(import_csv(rows, *log, clock_, rejected, report_).is_ok());
  EXPECT_EQ(report_.imported, 41U);
  EXPECT_THAT(rejected_, ElementsAre(AllOf(StartsWith("41: "), HasSubstr("log.queue_bytes_max"))));
  EXPECT_EQ(log->newest().value().at(0).key, "last");
}

TEST_F(OutboxCsvTest, LinesOfJsonAreToldAsWhatTheyAre) {
  import("{\"embedding\": [1, 2]}\n");
  EXPECT_THAT(rejected_, ElementsAre(HasSubstr("POST /metadata/batch")));
}

TEST_F(OutboxCsvTest, AFullOutboxEndsItAndSaysFromWhichLineOn) {
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += row(std::to_string(1'700'000'000 + i), R"({"embedding": [1]})");
  }
  const auto records = import(text, 600);
  EXPECT_EQ(status_.code(), Code::kOverloaded);
  EXPECT_EQ(report_.imported, 512U);
  EXPECT_EQ(report_.line, 513);
  EXPECT_THAT(records, SizeIs(512));
}

}  // namespace
}  // namespace ca4::cli
