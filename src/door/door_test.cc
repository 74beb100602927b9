#include "door/door.h"

#include <gmock/gmock.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "base/test_dir.h"

namespace ca4::door {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string script(const TempDir& folder, const std::string& text) {
  std::string path = folder / "agent";
  std::ofstream(path) << "#!/bin/sh\n" << text;
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

TEST(Door, CommandsAreTheAgents) {
  EXPECT_THAT(agent_command({.kind = Kind::kNgrok,
                             .command = "",
                             .domain = "name.ngrok-free.app",
                             .local_url = "http://127.0.0.1:8000"}),
              ElementsAre("ngrok", "http", "http://127.0.0.1:8000", "--log", "stdout",
                          "--log-format", "json", "--url", "name.ngrok-free.app"));
  EXPECT_THAT(agent_command({.kind = Kind::kCloudflared,
                             .command = "/opt/cloudflared",
                             .domain = "",
                             .local_url = "http://127.0.0.1:8000"}),
              ElementsAre("/opt/cloudflared", "tunnel", "--no-autoupdate", "--url",
                          "http://127.0.0.1:8000"));
}

TEST(Door, MissingAgentSaysWhereToGetIt) {
  const Status named = check_agent(
      {.kind = Kind::kNgrok, .command = "/nonexistent/ngrok", .domain = "", .local_url = ""});
  EXPECT_EQ(named.code(), Code::kNotFound);
  const Status looked_up = check_agent(
      {.kind = Kind::kNgrok, .command = "no-such-agent", .domain = "", .local_url = ""});
  EXPECT_THAT(looked_up.message(), HasSubstr("https://ngrok.com/download"));
}

TEST(Door, AgentThatEndsIsStartedAgainAndItsReasonTold) {
  const TempDir folder;
  const std::string agent = script(
      folder, "echo 'INF |  https://a-b.trycloudflare.com  |'; echo 'ERROR: no network'; exit 3\n");
  std::mutex mutex;
  std::condition_variable changed;
  size_t opened = 0;
  std::string troubles;
  DoorEvents events{.opened =
                        [&](const std::string& url) {
                          EXPECT_EQ(url, "https://a-b.trycloudflare.com");
                          const std::scoped_lock lock(mutex);
                          ++opened;
                          changed.notify_all();
                        },
                    .trouble =
                        [&](const std::string& why) {
                          const std::scoped_lock lock(mutex);
                          troubles += why + "\n";
                        }};
  const auto tunnel = Door::start(
      {.kind = Kind::kCloudflared, .command = agent, .domain = "", .local_url = ""}, events);
  ASSERT_TRUE(tunnel) << tunnel.status().message();
  std::unique_lock lock(mutex);
  EXPECT_TRUE(changed.wait_for(lock, std::chrono::minutes(1), [&] { return opened >= 2; }));
  EXPECT_THAT(troubles, HasSubstr("no network"));
  EXPECT_THAT(troubles, HasSubstr("has ended with exit code 3"));
  EXPECT_THAT(troubles, HasSubstr("started again in 1 s"));
}

}  // namespace
}  // namespace ca4::door
