#include "tap/tap.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/clock.h"
#include "event/event.h"
#include "log/memory_log.h"

namespace ca4::tap {
namespace {

class TapTest : public testing::Test {
 protected:
  // An event accepted now.
  void add(const std::string& id, const std::string& members = "") {
    std::string json = R"({"metadata_id":")" + id + R"(","embedding":[3,4])" + members + "}";
    const size_t size = json.size();
    json.resize(size + event::Parser::kPaddingBytes);
    event::Parser parser;
    event::Event event;
    event::Refusal why;
    ASSERT_TRUE(parser.parse({json.data(), size}, event, why)) << why.reason;
    event.ingested_at_us = 1'795'460'000'500'000;
    event.version = 1;
    ASSERT_TRUE(log::append_and_wait(log_, {{id, event::encode(event), {}}}));
  }
  std::unique_ptr<Tap> open(TapFilter filter = {}) {
    auto tap = Tap::open(log_, std::move(filter));
    EXPECT_TRUE(tap) << tap.status().to_string();
    return std::move(*tap);
  }
  static std::vector<std::string> ids(const TapLines& lines) {
    std::vector<std::string> out;
    std::istringstream text(lines.text);
    for (std::string line; std::getline(text, line);) {
      out.push_back(nlohmann::json::parse(line)["metadata_id"]);
    }
    EXPECT_EQ(out.size(), lines.count);
    return out;
  }

  ManualClock clock_{1'795'460'000'500'000};
  log::MemoryLog log_{{}, clock_};
};

using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(TapTest, ShowsWhatComesFromNowOnWithoutTheNumbers) {
  add("before");
  const auto tap = open();
  add("after", R"(,"model_name":"m")");
  const auto lines = tap->next(1000);
  ASSERT_TRUE(lines) << lines.status().to_string();
  const auto line = nlohmann::json::parse(lines->text);
  EXPECT_EQ(line["metadata_id"], "after");
  EXPECT_EQ(line["embedding"]["dim"], 2);
  EXPECT_EQ(line["embedding"]["norm"], 5);
  EXPECT_FALSE(line["embedding"].contains("numbers"));
  EXPECT_EQ(line["event"]["model_name"], "m");
  EXPECT_EQ(line["time"].get<std::string>().substr(0, 4), "2026");
  EXPECT_EQ(lines->left_out, 0U);
  EXPECT_EQ(tap->next(10)->count, 0U);
}

TEST_F(TapTest, WithTheNumbersWhereTheyAreWanted) {
  const auto tap = open({.full = true});
  add("a");
  EXPECT_EQ(nlohmann::json::parse(tap->next(1000)->text)["embedding"]["numbers"],
            nlohmann::json({3, 4}));
}

TEST_F(TapTest, FiltersById) {
  const auto one = open({.id = "cat-1"});
  const auto cats = open({.id = "cat*"});
  for (const char* id : {"cat-1", "cat-11", "dog-1"}) add(id);
  EXPECT_THAT(ids(*one->next(1000)), ElementsAre("cat-1"));
  EXPECT_THAT(ids(*cats->next(1000)), ElementsAre("cat-1", "cat-11"));
}

TEST_F(TapTest, FiltersByPipelineAndModel) {
  const auto tap = open({.pipeline = "p", .model = "m"});
  add("a", R"(,"model_name":"m","extra":{"pipeline":"p"})");
  add("b", R"(,"model_name":"n","extra":{"pipeline":"p"})");
  add("c", R"(,"model_name":"m","extra":{"pipeline":"q"})");
  add("d");
  EXPECT_THAT(ids(*tap->next(1000)), ElementsAre("a"));
}

TEST_F(TapTest, OverTheRateTheyAreCountedOnly) {
  const auto tap = open({.pipeline = "p", .per_second_max = 2});
  for (int i = 0; i < 10; ++i) add("e" + std::to_string(i), R"(,"extra":{"pipeline":"p"})");
  add("other");
  const auto lines = tap->next(1000);
  EXPECT_THAT(ids(*lines), ElementsAre("e0", "e1"));
  EXPECT_EQ(lines->left_out, 8U) << "what does not pass the filter is not counted";
}

TEST_F(TapTest, WhatIsNoEventIsNotShown) {
  const auto tap = open();
  ASSERT_TRUE(log::append_and_wait(log_, {{"k", "no event", {}}}));
  EXPECT_THAT(ids(*tap->next(10)), IsEmpty());
}

}  // namespace
}  // namespace ca4::tap
