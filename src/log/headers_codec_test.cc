#include "log/headers_codec.h"

#include <gtest/gtest.h>

namespace ca4::log {
namespace {

TEST(HeadersCodec, TruncatedAtAnyByteIsCorruptionOrFewerHeaders) {
  const Headers headers = {{"reason", "bad"}, {"", ""}};
  const std::string bytes = encode_headers(headers);
  EXPECT_EQ(decode_headers(bytes).value(), headers);
  for (size_t length = 1; length < bytes.size(); ++length) {
    const Result<Headers> cut = decode_headers(std::string_view(bytes).substr(0, length));
    if (cut) {
      EXPECT_LT(cut->size(), headers.size());
    } else {
      EXPECT_EQ(cut.status().code(), Code::kCorruption);
    }
  }
}

TEST(HeadersCodec, LengthBeyondTheEndIsCorruption) {
  EXPECT_EQ(decode_headers("\xff\xff\xff\xffxx").status().code(), Code::kCorruption);
}

}  // namespace
}  // namespace ca4::log
