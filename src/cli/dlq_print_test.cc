#include "cli/dlq_print.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "event/event.h"

namespace ca4::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

worker::DeadLetter letter_of(std::string value) {
  worker::DeadLetter letter;
  letter.source = log::Position{0, 12};
  letter.source_topic = "gpu-metadata";
  letter.stage = "store";
  letter.reason = "too large";
  letter.failed_at = "2026-11-23T18:58:17.000123Z";
  letter.key = "img-1";
  letter.value = std::move(value);
  letter.headers = {{"trace", "t"}};
  return letter;
}

std::string event_bytes() {
  event::Event event;
  event.metadata_id = "img-1";
  event.meta_json = R"({"metadata_id":"img-1","embedding_dim":3,"extra":{"pipeline":"p"}})";
  event.embedding = {0.1F, 2.0F, 3.0F};
  return event::encode(event);
}

TEST(DlqPrint, AnEventInJsonIsShownAsTheSameEvent) {
  const std::string record = event_bytes();
  const std::string json = event::to_wire_json(event::decode(record).value());
  const auto shown = nlohmann::json::parse(letter_json(letter_of(json), true));
  EXPECT_EQ(shown["event"]["metadata_id"], "img-1");
  EXPECT_EQ(shown["event"]["embedding"], nlohmann::json::parse("[0.1,2.0,3.0]"));
  EXPECT_THAT(letter_text(letter_of(json)), HasSubstr("embedding: 3 floats [0.1, 2, 3]"));
}

TEST(DlqPrint, HostileKeysDoNotReachTheTerminal) {
  worker::DeadLetter letter = letter_of("");
  letter.key = "a\x1b[31m\n";
  EXPECT_THAT(table_row(letter), HasSubstr("a\\x1b[31m\\x0a"));
  EXPECT_THAT(letter_text(letter), HasSubstr("a\\x1b[31m\\x0a"));
}

TEST(DlqPrint, ATableRowSaysWhenWhereWhatAndWhy) {
  const std::string table = table_head() + table_row(letter_of(""));
  for (const char* part :
       {"2026-11-23T18:58:17.000123Z", "0:12", "img-1", "store", "too large", "REASON"}) {
    EXPECT_THAT(table, HasSubstr(part));
  }
}

TEST(DlqPrint, LongKeysAndReasonsAreCutAtACharacter) {
  worker::DeadLetter letter = letter_of("");
  letter.key = std::string(32, 'k') + "äää";
  letter.reason = std::string(500, 'r');
  const std::string table = table_row(letter);
  EXPECT_THAT(table, HasSubstr(std::string(32, 'k') + "..."));
  EXPECT_LT(table.size(), 400U);
}

TEST(DlqPrint, AnEventIsShownAsMetadataAndTheBeginningOfItsEmbedding) {
  const std::string text = letter_text(letter_of(event_bytes()));
  EXPECT_THAT(text, HasSubstr("\"pipeline\": \"p\""));
  EXPECT_THAT(text, HasSubstr("embedding: 3 floats [0.1, 2, 3]"));
  EXPECT_THAT(text, HasSubstr("header: trace: t"));
}

TEST(DlqPrint, AValueThatIsNoEventIsShownInHexUpToALimit) {
  const std::string text = letter_text(letter_of("GIF89a" + std::string(1'000, '\0')));
  EXPECT_THAT(text, HasSubstr("47 49 46 38 39 61"));
  EXPECT_THAT(text, HasSubstr("GIF89a"));
  EXPECT_THAT(text, HasSubstr("750 bytes more"));
  EXPECT_LT(text.size(), 2'500U);
}

TEST(DlqPrint, JsonHoldsTheEventAsConsumersGetIt) {
  const auto json = nlohmann::json::parse(letter_json(letter_of(event_bytes()), true));
  EXPECT_EQ(json["id"], "0:12");
  EXPECT_EQ(json["source_offset"], 12);
  EXPECT_EQ(json["event"]["embedding"].size(), 3U);
  EXPECT_EQ(json["headers"][0]["value"], "t");
}

TEST(DlqPrint, JsonOfBytesThatAreNoTextIsStillJson) {
  worker::DeadLetter letter = letter_of("\x01\xff");
  letter.key = "k\xff";
  const std::string line = letter_json(letter, true);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["value_hex"], "01ff");
  EXPECT_FALSE(json.contains("event"));
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST(DlqPrint, AListHasNoValues) {
  EXPECT_THAT(letter_json(letter_of(event_bytes()), false), Not(HasSubstr("\"event\"")));
}

TEST(DlqPrint, CountsAreForPeopleAndPrograms) {
  const LetterCounts counts{3, 1, {{"decode", 2}, {"store", 1}}};
  EXPECT_THAT(counts_text(counts), HasSubstr("3 dead letters, 1 not replayed"));
  EXPECT_EQ(nlohmann::json::parse(counts_json(counts))["by_stage"]["decode"], 2);
}

}  // namespace
}  // namespace ca4::cli
