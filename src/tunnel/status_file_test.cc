#include "tunnel/status_file.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/test_dir.h"

namespace ca4::tunnel {
namespace {

View view() {
  View made;
  made.pid = 7;
  made.links.push_back({.name = "ssh to bastion",
                        .state = LinkState::kConnected,
                        .problem = {},
                        .since_us = 1'000'000,
                        .restarts = 2});
  ForwardView& forward = made.forwards.emplace_back();
  forward.forward = {.local_port = 9092, .host = "kafka", .port = 9092};
  forward.answer = {Answer::Kind::kHealthy, "Kafka \xff answers", 1500};
  return made;
}

TEST(StatusFile, TellsWhatWasWrittenWhileTheTunnelRuns) {
  const TempDir dir;
  const std::string data = dir / "new/data";
  EXPECT_EQ(read_status(data).status().code(), Code::kNotFound);
  {
    const auto file = StatusFile::open(data);
    ASSERT_TRUE(file) << file.status().to_string();
    EXPECT_EQ(read_status(data).status().code(), Code::kNotFound) << "nothing was written yet";
    (*file)->write(view());
    const Result<std::string> text = read_status(data);
    ASSERT_TRUE(text) << text.status().to_string();
    const auto json = nlohmann::json::parse(*text);
    EXPECT_TRUE(json["healthy"]);
    EXPECT_EQ(json["links"][0]["state"], "connected");
    EXPECT_EQ(json["links"][0]["restarts"], 2);
    EXPECT_EQ(json["forwards"][0]["local"], "127.0.0.1:9092");
    EXPECT_EQ(json["forwards"][0]["target"], "kafka:9092");
    EXPECT_EQ(json["forwards"][0]["answer_ms"], 1.5);
  }
  EXPECT_EQ(read_status(data).status().code(), Code::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(data + "/tunnel.json"));
}

TEST(StatusFile, OneThatAKilledTunnelLeftIsNoNews) {
  const TempDir dir;
  std::ofstream(dir / "tunnel.lock") << "";
  std::ofstream(dir / "tunnel.json") << "{\"healthy\":true}";
  EXPECT_EQ(read_status(dir.path()).status().code(), Code::kNotFound);
  EXPECT_TRUE(StatusFile::open(dir.path()));
}

TEST(StatusFile, WhatWasTrueBeforeIsNotToldWhenTheNewCantBeWritten) {
  const TempDir dir;
  const auto file = StatusFile::open(dir.path());
  ASSERT_TRUE(file);
  (*file)->write(view());
  std::filesystem::create_directory(dir / "tunnel.json.new");  // where the new text would go
  (*file)->write(view());
  const Status none = read_status(dir.path()).status();
  EXPECT_EQ(none.code(), Code::kNotFound);
  EXPECT_THAT(none.message(), testing::HasSubstr("its disk is full"));
  std::filesystem::remove(dir / "tunnel.json.new");
  (*file)->write(view());
  EXPECT_TRUE(read_status(dir.path()));
}

TEST(StatusFile, TwoTunnelsNeedTwoFolders) {
  const TempDir dir;
  const auto first = StatusFile::open(dir.path());
  ASSERT_TRUE(first);
  (*first)->write(view());
  EXPECT_EQ(StatusFile::open(dir.path()).status().code(), Code::kUnavailable);
  EXPECT_TRUE(read_status(dir.path())) << "the refused one must not take it away";
}

TEST(View, IsHealthyWhenEveryForwardIs) {
  View made = view();
  EXPECT_TRUE(made.healthy());
  made.forwards.push_back(made.forwards[0]);
  made.forwards[1].answer.kind = Answer::Kind::kCutOff;
  EXPECT_FALSE(made.healthy());
}

}  // namespace
}  // namespace ca4::tunnel
