// The quick way's floats against the standard library's, what it leaves to the other way, and that
// both ways are one.
#include "event/number_list.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "event/float_text.h"
#include "event/parse_support.h"

namespace ca4::event {
namespace {

constexpr uint64_t kSeed = 20'241'127;

struct Room {
  std::unique_ptr<float[]> floats{new float[kDimMax]};
  std::span<float, kDimMax> span() const {
    return std::span<float, kDimMax>(floats.get(), kDimMax);
  }
};

float expected(const std::string& text) {
  double wide = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), wide);
  EXPECT_TRUE(error == std::errc() && end == text.data() + text.size()) << text;
  return static_cast<float>(wide);
}

// As the only number of a list, with room for the window behind it and without.
void expect_read(const std::string& text) {
  const Room room;
  const float want = expected(text);
  for (const std::string& behind : {std::string(64, ' '), std::string()}) {
    const NumberList list = read_number_list("[" + text + "]" + behind, room.span());
    ASSERT_EQ(list.count, std::isfinite(want) ? 1U : 0U) << text;
    if (list.count == 0) continue;
    ASSERT_EQ(list.bytes, text.size() + 2) << text;
    ASSERT_EQ(std::bit_cast<uint32_t>(room.floats[0]), std::bit_cast<uint32_t>(want)) << text;
  }
}

class Numbers {
 public:
  size_t below(size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(random_); }
  std::string digits(size_t count) {
    std::string out;
    for (size_t i = 0; i < count; ++i) out += static_cast<char>('0' + below(10));
    return out;
  }

  // Of embeddings: around 1, of a normalised vector, small ones.
  double ordinary() {
    const double scale = std::array{1.0, 0.02, 30.0, 1e-3}[below(4)];
    return std::normal_distribution<double>(0, scale)(random_);
  }

  double any_double() {
    double out = std::bit_cast<double>(random_());
    while (!std::isfinite(out)) out = std::bit_cast<double>(random_());
    return out;
  }

  // Between two neighbours of the floats, where double to float is decided by the last bit.
  double halfway() {
    const auto low = static_cast<float>(ordinary());
    const float high = std::nextafterf(low, std::numeric_limits<float>::infinity());
    const double middle = (static_cast<double>(low) + static_cast<double>(high)) / 2;
    switch (below(3)) {
      case 0:
        return std::nextafter(middle, 0.0);
      case 1:
        return std::nextafter(middle, middle * 2);
      default:
        return middle;
    }
  }

  std::string grammar() {
    std::string out = below(2) == 0 ? "-" : "";
    out += below(3) == 0 ? "0" : std::to_string(1 + below(9)) + digits(below(20));
    if (below(4) > 0) {
      out += "." + std::string(below(3) == 0 ? below(12) : 0, '0') + digits(1 + below(30));
    }
    if (below(4) == 0) {
      out += std::array{"e", "E", "e+", "e-", "E-0"}[below(5)] + std::to_string(below(30));
    }
    return out;
  }

  std::string text() {
    switch (below(8)) {
      case 0:
        return fmt::format("{}", ordinary());  // Python's repr, but for "e-05"
      case 1:
        return fmt::format("{:.17g}", ordinary());
      case 2:
        return fmt::format("{:.{}f}", ordinary(), below(26));
      case 3:
        return fmt::format("{:.{}e}", any_float(), below(20));
      case 4: {
        std::array<char, kFloatTextBytesMax> shortest;
        const auto value = static_cast<float>(ordinary());
        return {shortest.data(), write_float_texts(shortest.data(), {&value, 1}) - 1};
      }
      case 5:
        return fmt::format("{:.17g}", halfway());
      case 6:
        return fmt::format("{:.{}f}", halfway(), 20 + below(50));
      default:
        return grammar();
    }
  }

 private:
  double any_float() {
    float out = std::bit_cast<float>(static_cast<uint32_t>(random_()));
    while (!std::isfinite(out)) out = std::bit_cast<float>(static_cast<uint32_t>(random_()));
    return static_cast<double>(out);
  }

  std::mt19937_64 random_{kSeed};
};

TEST(NumberList, FloatsAreThoseOfTheNearestDoubles) {
  Numbers numbers;
  for (int round = 0; round < 100'000; ++round) expect_read(numbers.text());
}

TEST(NumberList, EdgesOfTheTwoFormsAreReadAlike) {
  for (const char* text : {"0",
                           "-0",
                           "0.0",
                           "-0.0",
                           "1",
                           "-1",
                           "9",
                           "10",
                           "0.1",
                           "0.5",
                           "1.0",
                           "123456789012345",
                           "1234567890123456",
                           "123456789012345.5",
                           "16777217",
                           "16777217.0",
                           "16777216.99999999",
                           "16777217.0000000000000000000000001",
                           "33554434.999999999999999",
                           "0.0000000000000000",
                           "0.00000000000000000",
                           "0.00000000000000001",
                           "0.0000000000000001",
                           "0.12345678901234567890123456789",
                           "0.123456789012345678901234567890",
                           "-0.1234567890123456789012345678901",
                           "0.9999999999999999",
                           "0.99999999999999999",
                           "0.999999970197677612304687",
                           "0.99999997019767761230468750",
                           "0.9999999701976776123046875001",
                           "1e0",
                           "1E5",
                           "1.5e+3",
                           "-2.5e-3",
                           "1e-45",
                           "1e-46",
                           "7e-46",
                           "3.4028234e38",
                           "3.4028235677973366e38",
                           "3.4028236e38",
                           "1e39",
                           "0e5",
                           "-0e0",
                           "0.1e1"}) {
    expect_read(text);
  }
}

TEST(NumberList, ListsHaveAnyWhitespaceAndEndWhereTheyEnd) {
  Numbers numbers;
  const Room room;
  static constexpr std::array<std::string_view, 5> kSpaces = {"", " ", "\n    ", "\t", "\r\n"};
  for (int round = 0; round < 300; ++round) {
    std::vector<float> want;
    std::string text = "[";
    for (size_t n = 1 + numbers.below(300); n > 0; --n) {
      const std::string number = fmt::format("{}", numbers.ordinary());
      want.push_back(expected(number));
      text += kSpaces[numbers.below(5)];
      text += number;
      text += kSpaces[numbers.below(5)];
      text += n > 1 ? "," : "]";
    }
    const size_t bytes = text.size();
    for (const char* behind : {"", "]", "1", " , \"after\": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}"}) {
      const NumberList list = read_number_list(text + behind, room.span());
      ASSERT_EQ(list.bytes, bytes);
      ASSERT_EQ(std::vector<float>(room.floats.get(), room.floats.get() + list.count), want);
    }
  }
}

TEST(NumberList, WhatIsNoListOfFiniteNumbersIsLeft) {
  const Room room;
  const std::string many = "0.25, -1.5, 3.0e0, 17, ";
  for (const char* text : {"",
                           " ",
                           ",",
                           ",1",
                           "1,",
                           "1,,1",
                           "1 1",
                           "01",
                           "-01",
                           "00",
                           "01.5",
                           "-00.5",
                           "1.",
                           "1.,1",
                           ".5",
                           "-",
                           "-.5",
                           "+1",
                           "--1",
                           "-+1",
                           "1..2",
                           "1.5.5",
                           "1e",
                           "1e+",
                           "1e-",
                           "1.e5",
                           "1e5.5",
                           "1-1",
                           "0x10",
                           "1_0",
                           "1f",
                           "NaN",
                           "-NaN",
                           "Infinity",
                           "-Infinity",
                           "inf",
                           "null",
                           "true",
                           "\"1\"",
                           "[1]",
                           "{}",
                           "1}",
                           "1;",
                           "3.5e38",
                           "-1e39",
                           "1e999",
                           "1e000000000000000000001",
                           "1\v",
                           "1\f",
                           "\xC2\xA0",
                           "123456789012345678901234567890123456x",
                           "0.1234567890123456789012345678901x",
                           "0.12345678901234567890123456789.1"}) {
    for (const std::string& behind : {std::string(64, ' '), std::string()}) {
      EXPECT_EQ(read_number_list(fmt::format("[{}]{}", text, behind), room.span()).count, 0U)
          << text;
      EXPECT_EQ(read_number_list(fmt::format("[{}{}]{}", many, text, behind), room.span()).count,
                0U)
          << text;
    }
  }
  for (const char* text : {"", " [1]", "{", "1", "[", "[1", "[1,", "[1, ", "[1 ", "[-", "[1.5"}) {
    EXPECT_EQ(read_number_list(text, room.span()).count, 0U) << text;
    // What stands behind the text's end is not part of it.
    const std::string longer = std::string(text) + "1]                          ";
    EXPECT_EQ(read_number_list(std::string_view(longer).substr(0, std::string_view(text).size()),
                               room.span())
                  .count,
              0U)
        << text;
  }
}

TEST(NumberList, AsManyAsAnEmbeddingMayHave) {
  const Room room;
  std::string text = "[0.5";
  for (size_t i = 1; i < kDimMax; ++i) text += ",0.5";
  EXPECT_EQ(read_number_list(text + "]", room.span()).count, kDimMax);
  EXPECT_EQ(read_number_list(text + ",0.5]", room.span()).count, 0U);
}

TEST(NumberList, ListsOfNumbersThatAreSlowHereAreLeft) {
  const Room room;
  std::string text = "[";
  for (int i = 0; i < 500; ++i) text += i % 20 == 0 ? "1.5e-05, " : "0.25, ";
  EXPECT_EQ(read_number_list(text + "1]", room.span()).count, 501U);
  for (int i = 0; i < 500; ++i) text += "1.5e-05, ";
  EXPECT_EQ(read_number_list(text + "1]", room.span()).count, 0U);
}

TEST(NumberList, DigitsAreFoundAlikeOnEveryProcessor) {
  Numbers numbers;
  std::array<char, 32> bytes{};
  for (int value = 0; value < 256; ++value) {
    for (size_t at = 0; at < bytes.size(); ++at) {
      bytes.fill('0');
      bytes[at] = static_cast<char>(value);
      const uint32_t digits = value >= '0' && value <= '9' ? ~0U : ~(1U << at);
      ASSERT_EQ(find_digits(bytes.data()), digits) << value;
      ASSERT_EQ(find_digits_portably(bytes.data()), digits) << value;
    }
  }
  for (int round = 0; round < 10'000; ++round) {
    for (char& c : bytes) c = static_cast<char>(numbers.below(256));
    ASSERT_EQ(find_digits(bytes.data()), find_digits_portably(bytes.data()));
  }
}

TEST(NumberList, FractionsAreReadAlikeOnEveryProcessor) {
  Numbers numbers;
  for (int round = 0; round < 10'000; ++round) {
    const size_t count = 1 + numbers.below(30);
    std::string text = numbers.digits(count) + ",-9.87654321";
    text.resize(48, '7');
    const double want = std::stod("0." + text.substr(0, std::min<size_t>(count, 16)));
    const double got = read_fraction(text.data(), count);
    ASSERT_EQ(got, read_fraction_portably(text.data(), count)) << text;
    ASSERT_LE(std::abs(got - want), want * 0x1p-51) << text;
  }
}

TEST(CutPayload, LeavesAnEmptyListWhereTheNumbersWere) {
  const Room room;
  CutPayload cut;
  const std::string payload = R"({"embedding_dim":2, "embedding" : [0.5, 1.5e0], "extra":{}})";
  ASSERT_TRUE(cut.cut(payload, room.span()));
  EXPECT_EQ(cut.count(), 2U);
  EXPECT_EQ(cut.rest(), R"({"embedding_dim":2, "embedding" : [], "extra":{}})");
  EXPECT_TRUE(cut.is_place(cut.rest().data() + cut.rest().find('[')));
  EXPECT_FALSE(cut.is_place(cut.rest().data()));
  cut.forget();
  EXPECT_FALSE(cut.is_place(cut.rest().data() + cut.rest().find('[')));
}

TEST(CutPayload, WhatHasNoListInSightIsLeft) {
  const Room room;
  CutPayload cut;
  for (const char* payload :
       {"", "{}", R"({"embedding")", R"({"embedding":)", R"({"embedding":[)",
        R"({"embedding" [1]})", R"({"embedding_b64":"AAAA"})", R"({"embedding":5})",
        R"({"embedding":[]})", R"({"\u0065mbedding":[1]})"}) {
    EXPECT_FALSE(cut.cut(payload, room.span())) << payload;
  }
  const std::string blanks(CutPayload::kSearchBytes, ' ');
  EXPECT_FALSE(cut.cut(blanks + R"({"embedding":[1]})", room.span()));
  EXPECT_FALSE(
      cut.cut(R"({"embedding":[1],"a":")" + std::string(1 << 20, 'a') + "\"}", room.span()));
}

// Blanks before the object mean nothing, and put the list out of sight.
void expect_same_both_ways(const std::string& text) {
  const Outcome quick = parse_text(text);
  const Outcome slow = parse_text(std::string(CutPayload::kSearchBytes, ' ') + text);
  ASSERT_EQ(quick.accepted, slow.accepted) << text;
  if (quick.accepted) {
    EXPECT_EQ(quick.event.meta_json, slow.event.meta_json);
    EXPECT_EQ(quick.event.embedding, slow.event.embedding) << text;
  } else {
    EXPECT_EQ(quick.why.malformed, slow.why.malformed) << text;
    EXPECT_EQ(quick.why.field, slow.why.field) << text;
    EXPECT_EQ(quick.why.reason, slow.why.reason) << text;
  }
}

TEST(CutPayload, ListsElsewhereAreNotTheEmbedding) {
  EXPECT_EQ(accepted_event(R"({"extra":{"embedding":[9]},"embedding":[1,2]})").embedding,
            (std::vector<float>{1, 2}));
  EXPECT_EQ(accepted_event(R"({"a":["embedding",{"embedding":[9]}],"embedding":[3]})").embedding,
            std::vector<float>{3});
  EXPECT_EQ(accepted_event(R"({"a":"\\","embedding":[3.5],"b":"\"embedding\":[1]"})").embedding,
            std::vector<float>{3.5F});
  EXPECT_EQ(accepted_event(R"({"a":{"embedding":[9]},"embedding_b64":"AACAPw=="})").embedding,
            std::vector<float>{1});
  for (const char* text : {R"({"extra":{"embedding":[9]}})",
                           R"({"embedding":[1],"embedding":[2]})",
                           R"({"embedding":[1],"\u0065mbedding":[2]})",
                           R"({"embedding":[1]5})",
                           R"({"embedding":[1]]})",
                           R"({"embedding":[1][]})",
                           R"({"embedding":[1]"a":1})",
                           R"({"embedding":[1],})",
                           R"({"embedding":[1])",
                           R"({"embedding":[1]} {})",
                           R"({"a" "embedding":[1]})",
                           R"({"a":"embedding":[1]})",
                           R"({"a":"x\"embedding":[1]})",
                           R"({"a":"x\\"embedding":[1]})",
                           R"(["embedding":[1]])",
                           R"("embedding":[1])",
                           R"({"embedding":[1],"embedding_dim":2})",
                           R"({"embedding":[1],"embedding_b64":"AACAPw=="})",
                           R"({"embedding":[1],"extra":5})",
                           "{\"embedding\":[1],\"a\":\"\xC3\x28\"}",
                           "\xEF\xBB\xBF{\"embedding\":[1]} "}) {
    if (text[0] != '\xEF') expect_same_both_ways(text);
    EXPECT_FALSE(parse_text(text).accepted) << text;
  }
}

TEST(CutPayload, DamagedPayloadsComeOutTheSameBothWays) {
  Numbers numbers;
  static constexpr std::string_view kBytes = "{}[]\",:\\0eE+-.x \x01\xC3\xFF";
  size_t refused = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string text = R"({"metadata_id":"a","embedding":[)";
    for (size_t n = numbers.below(20); n > 0; --n) text += numbers.text() + ", ";
    text += R"(0.5],"extra":{"a":[1,"b"]}})";
    for (size_t n = numbers.below(3); n > 0; --n) {
      const size_t at = numbers.below(text.size());
      if (numbers.below(2) == 0)
        text[at] = kBytes[numbers.below(kBytes.size())];
      else
        text.erase(at, 1 + numbers.below(3));
    }
    expect_same_both_ways(text);
    if (!parse_text(text).accepted) ++refused;
  }
  EXPECT_GT(refused, 1000U);
  EXPECT_LT(refused, 4000U);
}

}  // namespace
}  // namespace ca4::event
