#include "verify/checklist.h"

#include <gtest/gtest.h>

#include <future>
#include <nlohmann/json.hpp>

namespace ca4::verify {
namespace {

TEST(Checklist, KeepsWhatEachCheckFound) {
  std::vector<std::string> watched;
  Checklist list([&](const CheckResult& result) { watched.push_back(result.name); }, 30'000);
  list.begin("suite");
  EXPECT_TRUE(list.check("good", [] { return Finding::pass("fine"); }));
  EXPECT_FALSE(list.check("none", [] { return Finding::skip("nothing here"); }));
  EXPECT_TRUE(list.all_passed());
  EXPECT_FALSE(list.check("bad", [] { return Finding::fail("broken", "mend it"); }));
  EXPECT_FALSE(list.all_passed());
  EXPECT_FALSE(list.hung());
  EXPECT_EQ(watched, (std::vector<std::string>{"good", "none", "bad"}));
  const auto json = nlohmann::json::parse(to_json(list.results()));
  EXPECT_FALSE(json["ok"]);
  EXPECT_EQ(json["checks"][0]["suite"], "suite");
  EXPECT_EQ(json["checks"][0]["outcome"], "pass");
  EXPECT_EQ(json["checks"][1]["outcome"], "skip");
  EXPECT_EQ(json["checks"][2]["outcome"], "fail");
  EXPECT_EQ(json["checks"][2]["detail"], "broken");
  EXPECT_EQ(json["checks"][2]["fix"], "mend it");
}

TEST(Checklist, ACheckThatHangsFailsAndTheNextOnesRun) {
  const auto gate = std::make_shared<std::promise<void>>();
  const auto done = std::make_shared<std::promise<void>>();
  std::future<void> opened = gate->get_future();
  Checklist list([](const CheckResult&) {}, 30'000);
  EXPECT_FALSE(list.check(
      "hangs",
      [gate, done, open = opened.share()] {
        open.wait();
        done->set_value();
        return Finding::pass("too late");
      },
      50));
  EXPECT_TRUE(list.hung());
  EXPECT_EQ(list.results()[0].finding.detail, "no answer in 0.1 s");
  EXPECT_TRUE(list.check("next", [] { return Finding::pass("fine"); }));
  gate->set_value();
  done->get_future().wait();
}

}  // namespace
}  // namespace ca4::verify
