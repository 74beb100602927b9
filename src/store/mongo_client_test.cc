// What can be told of a connection without a server.
#include "store/mongo_client.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>
#include <tuple>

#include "base/test_dir.h"
#include "store/mongo_store.h"
#include "store/store_test_support.h"

namespace ca4::store {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Status opened(MongoClientOptions options) {
  return MongoClients::open(std::move(options)).status();
}

TEST(MongoClient, AUriThatIsNoneIsAConfigurationErrorThatShowsNoSecret) {
  for (const char* const uri :
       {"", "db:27017", "http://ann:s3cret@db", "ann:s3cret@db", "mongodb://",
        "mongodb://ann:s3cret@", "mongodb://ann:s3:cret@db", "mongodb://ann:s3/cret@db",
        "mongodb://ann:s3%cret@db", "mongodb://ann:s3@cret@db", "mongodb://ann:x@db:s3cret",
        "mongodb+srv://ann:s3cret@db:27017"}) {
    const Status status = opened({.uri = uri});
    EXPECT_EQ(status.code(), Code::kConfig) << uri;
    EXPECT_THAT(status.message(), HasSubstr("MONGO_URI"));
    EXPECT_THAT(status.message(), AllOf(Not(HasSubstr("s3c")), Not(HasSubstr("ret")))) << uri;
  }
}

TEST(MongoClient, AnOptionThatTheLibraryDoesNotKnowIsSaidAndNoSecretWithIt) {
  const auto said = [](const char* uri) {
    std::ostringstream out;
    const std::shared_ptr<spdlog::logger> before = spdlog::default_logger();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out)));
    std::ignore = opened({.uri = uri});
    spdlog::set_default_logger(before);
    return out.str();
  };
  EXPECT_THAT(said("mongodb://ann:s3cret@db/?tsl=true"),
              AllOf(HasSubstr("MONGO_URI"), HasSubstr("\"tsl\""), Not(HasSubstr("s3cret"))));
  EXPECT_EQ(said("mongodb://ann:s3cret@db/?tls=true"), "");
  for (const char* const uri : {"mongodb://ann/?s3=cret@db", "mongodb://ann:x/?s3cret=1&x=@db"}) {
    EXPECT_THAT(said(uri), AllOf(Not(HasSubstr("s3")), Not(HasSubstr("cret"))));
  }
}

TEST(MongoClient, ACaFileThatCannotBeReadIsAConfigurationError) {
  const TempDir dir;
  const Status status = opened({.uri = "mongodb://db", .ca_file = dir / "ca.pem"});
  EXPECT_EQ(status.code(), Code::kConfig);
  EXPECT_THAT(status.message(), HasSubstr(dir / "ca.pem"));
}

TEST(MongoClient, AFileOfTheUriThatHoldsNoCertificateIsAConfigurationError) {
  const TempDir dir;
  for (const char* const option : {"tlsCAFile", "tlsCertificateKeyFile"}) {
    // There is none, and what there is is a directory.
    for (const std::string& path : {dir / "none.pem", dir.path()}) {
      const Status status =
          opened({.uri = fmt::format("mongodb://ann:s3cret@db/?tls=true&{}={}", option, path)});
      EXPECT_EQ(status.code(), Code::kConfig);
      EXPECT_THAT(status.message(), AllOf(HasSubstr("MONGO_URI"), HasSubstr(path)));
      EXPECT_THAT(status.message(), Not(HasSubstr("s3cret")));
    }
  }
}

TEST(MongoClient, AServerThatIsNotThereIsUnavailableByItsNameAndWithoutThePassword) {
  // A port below those that servers get: nobody listens there.
  const auto store = MongoStore::open(
      {.client = {.uri = "mongodb://ann:s3cret@127.0.0.1:1/", .server_selection_timeout_ms = 100}});
  ASSERT_TRUE(store) << store.status().to_string();
  const Status status = (*store)->ping();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("127.0.0.1:1"), Not(HasSubstr("s3cret"))));
  EXPECT_EQ((*store)->upsert(std::vector{make_document("a")}).status().code(), Code::kUnavailable);
  EXPECT_EQ((*store)->count({}).status().code(), Code::kUnavailable);
  EXPECT_EQ((*store)->similar(std::vector<float>{1}, 1, {}).status().code(), Code::kUnavailable);
  EXPECT_TRUE((*store)->upsert({})) << "an empty batch needs no server";
}

TEST(MongoClient, OptionsThatCannotBeRightAreConfigurationErrors) {
  EXPECT_EQ(MongoStore::open({.client = {.uri = "mongodb://db"}, .database = std::string(64, 'a')})
                .status()
                .code(),
            Code::kConfig);
  const Status no_index = MongoStore::open({.client = {.uri = "mongodb://db"},
                                            .vector_search = MongoVectorSearch::kAtlas})
                              .status();
  EXPECT_EQ(no_index.code(), Code::kConfig);
  EXPECT_THAT(no_index.message(), HasSubstr("store.mongo_vector_index"));
}

}  // namespace
}  // namespace ca4::store
