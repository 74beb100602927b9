#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "event/event.h"

namespace ca4::event {
namespace {

Event sample() {
  Event event;
  event.metadata_id = "img-1";
  event.meta_json = R"({"metadata_id":"img-1","n":1})";
  event.embedding = {1.0F, -2.5F, 3e-45F};
  event.ingested_at_us = 1'700'000'000'123'456;
  event.version = 42;
  return event;
}

TEST(EventRecord, RoundTripKeepsEverything) {
  const Event event = sample();
  const std::string record = encode(event);
  const auto view = decode(record);
  ASSERT_TRUE(view.is_ok()) << view.status().to_string();
  EXPECT_EQ(view->metadata_id, event.metadata_id);
  EXPECT_EQ(view->meta_json, event.meta_json);
  EXPECT_EQ(view->embedding(), event.embedding);
  EXPECT_EQ(view->dim, 3U);
  EXPECT_EQ(view->ingested_at_us, event.ingested_at_us);
  EXPECT_EQ(view->version, 42U);
}

TEST(EventRecord, ExtremeTimesAndVersionsAreKept) {
  Event event = sample();
  event.ingested_at_us = std::numeric_limits<int64_t>::min();
  event.version = std::numeric_limits<uint64_t>::max();
  const std::string record = encode(event);
  const auto view = decode(record);
  ASSERT_TRUE(view.is_ok());
  EXPECT_EQ(view->ingested_at_us, event.ingested_at_us);
  EXPECT_EQ(view->version, event.version);
}

// The bytes on disk: a change here is a new format version.
TEST(EventRecord, GoldenBytes) {
  Event event;
  event.metadata_id = "a";
  event.meta_json = "{}";
  event.embedding = {1.0F};
  event.ingested_at_us = 0x0102030405060708;
  event.version = 0x1112131415161718;
  std::string hex;
  for (const char c : encode(event)) {
    constexpr std::string_view kHex = "0123456789abcdef";
    hex += kHex[static_cast<unsigned char>(c) >> 4U];
    hex += kHex[static_cast<unsigned char>(c) & 15U];
  }
  EXPECT_EQ(hex,
            "ca010000"          // magic, format version, flags
            "01000000"          // id_bytes
            "02000000"          // meta_bytes
            "01000000"          // dim
            "0807060504030201"  // ingested_at_us
            "1817161514131211"  // version
            "09fc9bf48237264e"  // checksum
            "61"                // id
            "7b7d"              // meta
            "00"                // padding
            "0000803f");        // 1.0
}

TEST(EventRecord, FloatsBeginAtAMultipleOfFour) {
  Event event = sample();
  for (size_t length = 1; length < 9; ++length) {
    event.metadata_id.assign(length, 'x');
    const std::string record = encode(event);
    const auto view = decode(record);
    ASSERT_TRUE(view.is_ok());
    EXPECT_EQ((reinterpret_cast<const char*>(view->embedding_bytes.data()) - record.data()) % 4, 0);
    EXPECT_EQ(record.size() % 4, 0U);
  }
}

TEST(EventRecord, EveryFlippedByteIsFound) {
  const std::string record = encode(sample());
  for (size_t at = 0; at < record.size(); ++at) {
    for (const unsigned bits : {0x01U, 0x80U, 0xFFU}) {
      std::string damaged = record;
      damaged[at] = static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ bits);
      const auto view = decode(damaged);
      ASSERT_FALSE(view.is_ok()) << "byte " << at;
      EXPECT_EQ(view.status().code(), Code::kCorruption);
    }
  }
}

TEST(EventRecord, EveryTruncationAndAnyTrailingByteIsFound) {
  const std::string record = encode(sample());
  for (size_t length = 0; length < record.size(); ++length) {
    EXPECT_EQ(decode(std::string_view(record).substr(0, length)).status().code(), Code::kCorruption)
        << length;
  }
  EXPECT_EQ(decode(record + '\0').status().code(), Code::kCorruption);
}

TEST(EventRecord, CorruptionSaysWhatIsWrong) {
  std::string record = encode(sample());
  EXPECT_THAT(decode("").status().message(), ::testing::HasSubstr("less than the header"));
  EXPECT_THAT(decode(std::string(60, 'x')).status().message(), ::testing::HasSubstr("0xCA"));
  EXPECT_THAT(decode(record + "xxxx").status().message(), ::testing::HasSubstr("promises"));
  record.back() = static_cast<char>(record.back() + 1);
  EXPECT_THAT(decode(record).status().message(), ::testing::HasSubstr("checksum"));
  record[1] = 2;
  EXPECT_THAT(decode(record).status().message(), ::testing::HasSubstr("format version 2"));
}

}  // namespace
}  // namespace ca4::event
