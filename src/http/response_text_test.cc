#include "http/response_text.h"

#include <gmock/gmock.h>

namespace ca4::http {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string text_of(const Response& response, const ResponseContext& context = {}) {
  std::string out;
  append_response(response, false, true, context, out);
  return out;
}

TEST(ResponseText, NobodyKeepsOrReinterpretsAnAnswerUnlessItSaysSo) {
  const std::string plain = text_of({.body = "{}"});
  EXPECT_THAT(plain, HasSubstr("Cache-Control: no-store\r\n"));
  EXPECT_THAT(plain, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
  const std::string own = text_of({.headers = {{"Cache-Control", "private, max-age=300"}}});
  EXPECT_THAT(own, HasSubstr("Cache-Control: private, max-age=300\r\n"));
  EXPECT_THAT(own, Not(HasSubstr("no-store")));
}

TEST(ResponseText, TlsIsAskedForOnlyWhereThereIsTls) {
  EXPECT_THAT(text_of({}), Not(HasSubstr("Strict-Transport-Security")));
  EXPECT_THAT(text_of({}, {.tls = true}), HasSubstr("Strict-Transport-Security: max-age="));
}

TEST(ResponseText, WhoseTokenItWasStaysHere) {
  EXPECT_THAT(text_of({.caller = "colab"}), Not(HasSubstr("colab")));
}

}  // namespace
}  // namespace ca4::http
