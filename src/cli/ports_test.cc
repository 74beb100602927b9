#include "cli/ports.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/test_dir.h"
#include "cli/data_layout.h"
#include "log/group_offsets.h"

namespace ca4::cli {
namespace {

// Whom retention of the embedded log waits for.
std::vector<std::string> waited_for(const config::Settings& settings) {
  const auto offsets =
      log::GroupOffsets::open(log_dir(settings) + "/gpu-metadata.offsets.db", true).value();
  std::vector<std::string> names;
  const std::vector<log::GroupPosition> groups = offsets->all(0).value();
  for (const log::GroupPosition& group : groups) names.push_back(group.group);
  return names;
}

TEST(OpenPorts, AnyRoleMayBeTheFirstInItsDataDirectory) {
  const SystemClock clock;
  for (const Roles roles :
       {Roles{.accepts = true}, Roles{.works = true}, Roles{.accepts = true, .works = true}}) {
    const TempDir dir;
    config::Settings settings;
    settings.data_dir = dir / "data";
    EXPECT_TRUE(open_ports({settings, clock}, roles).is_ok());
  }
}

TEST(OpenPorts, ASecondWorkerThatCanNotStartChangesNothingForTheFirst) {
  const TempDir dir;
  const SystemClock clock;
  config::Settings settings;
  settings.data_dir = dir / "data";
  for (const bool archives : {true, false}) {
    settings.archive.enabled = archives;
    const Result<Ports> first = open_ports({settings, clock}, {.works = true});
    ASSERT_TRUE(first.is_ok()) << first.status().to_string();
    const std::vector<std::string> before = waited_for(settings);
    EXPECT_EQ(before.size(), archives ? 2U : 1U);
    settings.archive.enabled = !archives;
    for (const bool accepts : {true, false}) {
      const Status second =
          open_ports({settings, clock}, {.accepts = accepts, .works = true}).status();
      EXPECT_EQ(second.code(), Code::kUnavailable);
      EXPECT_EQ(waited_for(settings), before);
    }
  }
}

}  // namespace
}  // namespace ca4::cli
