// The conformance suite on a real S3 server, named by CA4_TEST_S3_ENDPOINT, with a bucket
// CA4_TEST_S3_BUCKET, keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and with https an
// authority in AWS_CA_BUNDLE. Without them it fails.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

#include "archive/archive_conformance.h"
#include "archive/s3_archive.h"
#include "aws/chain.h"

namespace ca4::archive {
namespace {

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

// Each test below a prefix of its own: so it finds the archive empty.
std::unique_ptr<Archive> open_s3(const std::string&) {
  static const SystemClock clock;
  static const std::shared_ptr<aws::Http> http = aws::make_http();
  static std::atomic<int> tests = 0;
  const std::string endpoint = aws::value_of(environment, "CA4_TEST_S3_ENDPOINT");
  const std::string bucket = aws::value_of(environment, "CA4_TEST_S3_BUCKET");
  EXPECT_FALSE(endpoint.empty() || bucket.empty())
      << "CA4_TEST_S3_ENDPOINT and CA4_TEST_S3_BUCKET must name a server and a bucket";
  const Result<S3Address> address =
      S3Address::make(endpoint, "us-east-1", bucket, Addressing::kAuto);
  EXPECT_TRUE(address) << address.status().to_string();
  if (endpoint.empty() || !address) return nullptr;
  S3Connection connection{.bucket = bucket,
                          .region = "us-east-1",
                          .address = *address,
                          .http = http,
                          .credentials = aws::default_credentials(environment, "", *http, clock),
                          .clock = &clock};
  S3Options options;
  options.prefix = "test-" + std::to_string(++tests) + "+=";
  options.part_bytes = 6U << 20;  // four parts of the suite's largest object
  return std::make_unique<S3Archive>(std::move(connection), options);
}

INSTANTIATE_TEST_SUITE_P(S3, ArchiveConformance, testing::Values(&open_s3));

// A page of S3 holds 1000 keys.
TEST(S3Archive, ListsMoreThanAPageOfTheServer) {
  const std::unique_ptr<Archive> archive = open_s3("");
  ASSERT_NE(archive, nullptr);
  for (int i = 0; i < 1'010; ++i) {
    ASSERT_TRUE(archive->put("n/" + std::to_string(10'000 + i), "", "").is_ok());
  }
  const Result<std::vector<ObjectInfo>> listed = archive->list_page("n/", "n/10000", 5'000);
  ASSERT_TRUE(listed) << listed.status().to_string();
  ASSERT_EQ(listed->size(), 1'009U);
  EXPECT_EQ(listed->front().key, "n/10001");
  EXPECT_EQ(listed->back().key, "n/11009");
}

}  // namespace
}  // namespace ca4::archive
