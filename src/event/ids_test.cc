#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "event/event.h"
#include "event/parse_support.h"

namespace ca4::event {
namespace {

// The example of RFC 9562, appendix A.6: Unix time 1645557742000 ms, rand_a 0xCC3, rand_b
// 0x18C4DC0C0C07398F.
TEST(UuidV7, MatchesTheExampleOfTheRfc) {
  EXPECT_EQ(make_uuid_v7(1'645'557'742'000'000,
                         {0x0C, 0xC3, 0x18, 0xC4, 0xDC, 0x0C, 0x0C, 0x07, 0x39, 0x8F}),
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
}

TEST(UuidV7, LaterMillisecondSortsLater) {
  const std::array<uint8_t, 10> high = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
  const std::array<uint8_t, 10> low = {};
  EXPECT_LT(make_uuid_v7(1'000'999'000, high), make_uuid_v7(1'001'000'000, low));
}

TEST(UuidV7, VersionAndVariantStandWhateverTheEntropy) {
  const std::array<uint8_t, 10> ones = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
  for (const auto& entropy : {ones, std::array<uint8_t, 10>{}}) {
    const std::string id = make_uuid_v7(0, entropy);
    EXPECT_EQ(id.size(), 36U);
    EXPECT_EQ(id[14], '7');
    EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos);
  }
}

TEST(AssignId, MakesTheEventThatTheClientWouldHaveSentWithThisId) {
  Event event = accepted_event(R"({"embedding":[1],"k":2})");
  assign_id(event, "a\"b");
  const Event expected = accepted_event(R"({"metadata_id":"a\"b","embedding":[1],"k":2})");
  EXPECT_EQ(event.metadata_id, "a\"b");
  EXPECT_EQ(event.meta_json, expected.meta_json);
}

}  // namespace
}  // namespace ca4::event
