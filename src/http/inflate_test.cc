#include "http/inflate.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <random>

#include "base/test_zstd.h"

namespace ca4::http {
namespace {

constexpr size_t kPadding = 64;

Request request_with(const std::string& body, const std::string& coding) {
  Request request;
  request.headers.emplace_back("content-encoding", coding);
  request.body_capacity = body.size() + kPadding;
  request.body_data = std::make_unique<char[]>(request.body_capacity);
  std::memcpy(request.body_data.get(), body.data(), body.size());
  request.body_bytes = body.size();
  return request;
}

std::string gzip(const std::string& plain) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, plain.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string text_of(size_t bytes) {
  std::mt19937 random(1);
  std::string out;
  while (out.size() < bytes) out += std::to_string(random() % 1000) + ",";
  out.resize(bytes);
  return out;
}

struct Coding {
  const char* name;
  std::string (*compress)(const std::string&);
};

class InflateTest : public testing::TestWithParam<Coding> {};

TEST_P(InflateTest, AnyLengthComesBackWithItsPadding) {
  for (const size_t bytes : {0U, 1U, 4096U, 100'000U, 3'000'000U}) {
    const std::string plain = text_of(bytes);
    Request request = request_with(GetParam().compress(plain), GetParam().name);
    const Status status = inflate_body(request, 3'000'000);
    ASSERT_TRUE(status.is_ok()) << status.to_string() << " " << bytes;
    EXPECT_EQ(request.body(), plain);
    EXPECT_GE(request.body_capacity - request.body_bytes, kPadding);
    EXPECT_EQ(request.header("Content-Encoding"), "");
  }
}

TEST_P(InflateTest, OneByteOverTheLimitIsTooLarge) {
  Request request = request_with(GetParam().compress(text_of(10'001)), GetParam().name);
  EXPECT_EQ(inflate_body(request, 10'000).code(), Code::kTooLarge);
  EXPECT_TRUE(inflate_body(request, 10'001).is_ok()) << "it was left as it was";
}

TEST_P(InflateTest, ABombIsTooLarge) {
  Request request =
      request_with(GetParam().compress(std::string(50'000'000, '\0')), GetParam().name);
  EXPECT_EQ(inflate_body(request, 1'000'000).code(), Code::kTooLarge);
}

TEST_P(InflateTest, ACutOrDamagedBodyIsRefused) {
  const std::string whole = GetParam().compress(text_of(5'000));
  for (const std::string& bad :
       {whole.substr(0, whole.size() / 2), whole.substr(0, whole.size() - 1), whole + "tail",
        std::string("plain text"), std::string()}) {
    Request request = request_with(bad, GetParam().name);
    EXPECT_EQ(inflate_body(request, 1'000'000).code(), Code::kInvalidArgument) << bad.size();
  }
}

TEST_P(InflateTest, TwoMembersAreOneBody) {
  Request request =
      request_with(GetParam().compress("one,") + GetParam().compress("two"), GetParam().name);
  ASSERT_TRUE(inflate_body(request, 1'000'000).is_ok());
  EXPECT_EQ(request.body(), "one,two");
}

TEST_P(InflateTest, EmptyMembersBehindABodyAtTheLimitAddNothing) {
  const std::string nothing = GetParam().compress("");
  Request request = request_with(GetParam().compress("four") + nothing + nothing, GetParam().name);
  ASSERT_TRUE(inflate_body(request, 4).is_ok());
  EXPECT_EQ(request.body(), "four");
  Request more = request_with(GetParam().compress("four") + nothing + GetParam().compress("5"),
                              GetParam().name);
  EXPECT_EQ(inflate_body(more, 4).code(), Code::kTooLarge);
}

INSTANTIATE_TEST_SUITE_P(Codings, InflateTest,
                         testing::Values(Coding{"gzip", gzip}, Coding{"zstd", zstd}),
                         [](const auto& coding) { return std::string(coding.param.name); });

// libzstd takes the first, of version 0.7 and empty, if it was built to.
TEST(InflateOtherTest, FramesOfZstdThatNoStandardKnowsAreRefused) {
  const std::string old("\x27\xb5\x2f\xfd\0\0\0\0\0", 9);
  for (const std::string& body : {old, zstd("one") + old, zstd("one") + "\x28\xb5"}) {
    Request request = request_with(body, "zstd");
    EXPECT_EQ(inflate_body(request, 100).code(), Code::kInvalidArgument) << body.size();
  }
}

// RFC 8878, section 3.1.2.
TEST(InflateOtherTest, SkippableFramesOfZstdAreSkipped) {
  const std::string skipped("\x5f\x2a\x4d\x18\2\0\0\0ab", 10);
  Request request = request_with(skipped + zstd("one,") + skipped + zstd("two") + skipped, "zstd");
  ASSERT_TRUE(inflate_body(request, 100).is_ok());
  EXPECT_EQ(request.body(), "one,two");
}

TEST(InflateOtherTest, AnUnknownCodingIsNotFound) {
  Request request = request_with("x", "br");
  EXPECT_EQ(inflate_body(request, 100).code(), Code::kNotFound);
  Request two = request_with("x", "gzip, gzip");
  EXPECT_EQ(inflate_body(two, 100).code(), Code::kNotFound);
}

}  // namespace
}  // namespace ca4::http
