#include "ops/logging.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

namespace ca4::ops {
namespace {

TEST(LoggingTest, AnUnknownLevelOrFormatIsRefused) {
  EXPECT_EQ(setup_logging("loud", "text").code(), Code::kInvalidArgument);
  EXPECT_EQ(setup_logging("info", "xml").code(), Code::kInvalidArgument);
}

TEST(LoggingTest, JsonLinesAreObjectsWhateverTheMessageHolds) {
  testing::internal::CaptureStderr();
  ASSERT_TRUE(setup_logging("info", "json").is_ok());
  spdlog::info("a \"quoted\" line\nand {}", "\xFF");
  spdlog::debug("not shown");
  spdlog::default_logger()->flush();
  const std::string text = testing::internal::GetCapturedStderr();
  const auto line = nlohmann::json::parse(text);
  EXPECT_EQ(line["level"], "info");
  EXPECT_EQ(line["message"], "a \"quoted\" line\nand \xEF\xBF\xBD");
  EXPECT_EQ(line["time"].get<std::string>().back(), 'Z');
}

TEST(LoggingTest, TextLinesBeginWithTheTimeInUtc) {
  testing::internal::CaptureStderr();
  ASSERT_TRUE(setup_logging("warn", "text").is_ok());
  spdlog::warn("disk is full");
  spdlog::default_logger()->flush();
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("Z warning disk is full\n"), std::string::npos) << text;
}

TEST(LoggingTest, AnotherLevelHoldsFromNowOnAndIsSaid) {
  testing::internal::CaptureStderr();
  ASSERT_TRUE(setup_logging("error", "text").is_ok());
  EXPECT_EQ(log_level(), "error");
  EXPECT_EQ(set_log_level("loud", "me").code(), Code::kInvalidArgument);
  EXPECT_EQ(log_level(), "error");
  ASSERT_TRUE(set_log_level("debug", "me").is_ok());
  spdlog::debug("now shown");
  ASSERT_TRUE(set_log_level("off", "you").is_ok());
  EXPECT_EQ(log_level(), "off");
  spdlog::error("not shown");
  spdlog::default_logger()->flush();
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("log level debug instead of error, as me asked\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("now shown\n"), std::string::npos) << text;
  EXPECT_NE(text.find("log level off instead of debug, as you asked\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("not shown"), std::string::npos) << text;
}

}  // namespace
}  // namespace ca4::ops
