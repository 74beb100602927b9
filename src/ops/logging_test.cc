#include "ops/logging.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "ops/log_context.h"

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

TEST(LoggingTest, AMessageIsOneLineWhateverIsInIt) {
  testing::internal::CaptureStderr();
  ASSERT_TRUE(setup_logging("info", "text").is_ok());
  spdlog::info("path {}", "/a\n2026-01-01T00:00:00.000Z info  forged\r\x1b[31m\tb");
  spdlog::default_logger()->flush();
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("path /a\\n2026-01-01T00:00:00.000Z info  forged\\r\\x1b[31m\tb\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

// Lines inside two contexts, inside one, in another thread meanwhile, and outside.
std::vector<std::string> lines_of_contexts(const std::string& format) {
  testing::internal::CaptureStderr();
  EXPECT_TRUE(setup_logging("info", format).is_ok());
  {
    const LogContext outer("r-1", "");
    {
      const LogContext inner("r-2", "0af7651916cd43dd8448eb211c80319c");
      spdlog::info("two");
    }
    spdlog::info("one");
    std::thread([] { spdlog::info("other"); }).join();
  }
  spdlog::info("none");
  spdlog::default_logger()->flush();
  std::istringstream text(testing::internal::GetCapturedStderr());
  std::vector<std::string> out;
  for (std::string line; std::getline(text, line);) out.push_back(line);
  return out;
}

TEST(LoggingTest, LinesOfAContextHaveItsFields) {
  const std::vector<std::string> text = lines_of_contexts("text");
  ASSERT_EQ(text.size(), 4U);
  EXPECT_TRUE(text[0].ends_with(" two request_id=r-2 trace_id=0af7651916cd43dd8448eb211c80319c"));
  EXPECT_TRUE(text[1].ends_with(" one request_id=r-1"));
  EXPECT_TRUE(text[2].ends_with(" other"));
  EXPECT_TRUE(text[3].ends_with(" none"));
  const std::vector<std::string> json = lines_of_contexts("json");
  ASSERT_EQ(json.size(), 4U);
  EXPECT_EQ(nlohmann::json::parse(json[0])["request_id"], "r-2");
  EXPECT_EQ(nlohmann::json::parse(json[0])["trace_id"], "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(nlohmann::json::parse(json[1])["request_id"], "r-1");
  EXPECT_FALSE(nlohmann::json::parse(json[1]).contains("trace_id"));
  EXPECT_FALSE(nlohmann::json::parse(json[2]).contains("request_id"));
  EXPECT_FALSE(nlohmann::json::parse(json[3]).contains("request_id"));
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
