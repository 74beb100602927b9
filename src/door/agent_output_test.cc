#include "door/agent_output.h"

#include <gtest/gtest.h>

namespace ca4::door {
namespace {

TEST(AgentOutput, NgrokTellsWhereItsApiIs) {
  EXPECT_EQ(
      ngrok_api_address(
          R"({"addr":"127.0.0.1:4041","allow_hosts":[],"lvl":"info","msg":"starting web service",)"
          R"("obj":"web","t":"2026-11-24T10:00:00Z"})"),
      "127.0.0.1:4041");
  EXPECT_FALSE(ngrok_api_address(R"({"lvl":"info","msg":"client session established"})"));
  EXPECT_FALSE(ngrok_api_address(R"({"msg":"starting web service","addr":4040})"));
  EXPECT_FALSE(ngrok_api_address("no JSON"));
}

TEST(AgentOutput, NgroksApiNamesTheUrl) {
  EXPECT_EQ(ngrok_public_url(
                R"({"tunnels":[{"name":"command_line","public_url":"http://a.ngrok.app"},)"
                R"({"public_url":"https://a.ngrok.app","proto":"https"}],"uri":"/api/tunnels"})"),
            "https://a.ngrok.app");
  EXPECT_FALSE(ngrok_public_url(R"({"tunnels":[],"uri":"/api/tunnels"})"));
  EXPECT_FALSE(ngrok_public_url(R"({"tunnels":[1, {}]})"));
  EXPECT_FALSE(ngrok_public_url("<html>"));
}

TEST(AgentOutput, CloudflaredsLogNamesTheUrl) {
  EXPECT_EQ(
      cloudflared_public_url(
          "2026-11-24T10:00:00Z INF |  https://some-four-random-words.trycloudflare.com      |"),
      "https://some-four-random-words.trycloudflare.com");
  EXPECT_FALSE(cloudflared_public_url("INF Requesting new quick Door on trycloudflare.com..."));
  EXPECT_FALSE(cloudflared_public_url(
      "ERR failed to request: Post \"https://api.trycloudflare.com/tunnel\": no such host"));
}

TEST(AgentOutput, ComplaintsAreTold) {
  EXPECT_EQ(complaint(R"({"err":"authentication failed","lvl":"eror","msg":"failed to start"})"),
            "authentication failed");
  EXPECT_FALSE(complaint(R"({"err":"<nil>","lvl":"info","msg":"all components stopped"})"));
  EXPECT_EQ(complaint("ERROR:  ERR_NGROK_4018"), "  ERR_NGROK_4018");
  EXPECT_EQ(complaint("2026-11-24T10:00:00Z ERR no network"), "no network");
  EXPECT_FALSE(complaint("INF all is well"));
  EXPECT_FALSE(complaint("ERROR:"));
}

}  // namespace
}  // namespace ca4::door
