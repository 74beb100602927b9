#include "page/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/test_dir.h"
#include "http/problem.h"
#include "page/assets.h"
#include "page/test_support.h"

namespace ca4::page {
namespace {

using ::testing::HasSubstr;

TEST_F(PageTest, AssetsCarryTheirPolicyAndAreNotSentTwice) {
  start();
  for (const Asset& asset : assets()) {
    const std::string path =
        asset.file_name == "index.html" ? "/" : "/assets/" + std::string(asset.file_name);
    const http::Response first = get(path);
    EXPECT_EQ(first.status, 200) << path;
    EXPECT_EQ(first.body, asset.bytes);
    EXPECT_THAT(header(first, "Content-Security-Policy"), HasSubstr("default-src 'self';"));
    EXPECT_EQ(header(first, "Cache-Control"), "no-cache");
    http::Request again = request_of("GET", path);
    again.headers.emplace_back("If-None-Match", "\"other\", W/" + header(first, "ETag"));
    const http::Response second = send(std::move(again)).get();
    EXPECT_EQ(second.status, 304);
    EXPECT_TRUE(second.body.empty());
    EXPECT_EQ(header(second, "ETag"), header(first, "ETag"));
  }
}

TEST_F(PageTest, EveryFileThatThePageAsksForIsServed) {
  start();
  std::string names = std::string(get("/").body);
  for (const char* script : {"/assets/app.js", "/assets/documents.js"}) names += get(script).body;
  for (const Asset& asset : assets()) {
    if (asset.file_name == "index.html") continue;
    EXPECT_THAT(names, HasSubstr(asset.file_name));
  }
  for (const char* unsafe : {"<script>", "style=\"", " onclick=", "https://", "http://"}) {
    EXPECT_THAT(get("/").body, ::testing::Not(HasSubstr(unsafe)));
  }
}

TEST_F(PageTest, GuardStandsBeforeTheDataAndNotBeforeTheAssets) {
  use_everything();
  start([](const http::Handler&) -> http::Handler {
    return [](const http::Request&, const http::Respond& respond) {
      respond(http::problem(401, "token"));
    };
  });
  EXPECT_EQ(get("/").status, 200);
  for (const char* path :
       {"/api/stats", "/api/documents", "/api/similar?id=a", "/api/media?id=a"}) {
    EXPECT_EQ(get(path).status, 401) << path;
  }
  EXPECT_EQ(send(request_of("POST", "/api/similar", "x")).get().status, 401);
}

TEST_F(PageTest, DocumentsComeNewestFirstAndFiltered) {
  use_everything();
  fill_store();
  start();
  const Json all = get_json("/api/documents?limit=2")["documents"];
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0]["metadata_id"], "ne");
  EXPECT_EQ(all[0]["embedding_dim"], 2);
  EXPECT_FALSE(all[0].contains("embedding"));
  EXPECT_EQ(get_json("/api/documents?id=east")["documents"].size(), 1U);
  EXPECT_EQ(get_json("/api/documents?pipeline=other")["documents"].size(), 0U);
}

TEST_F(PageTest, OfALargeDocumentAListHasTheHeadAndItsIdGivesAll) {
  use_everything();
  fill_store();
  store::Document large = document("large", {1, 2}, 9);
  large.extra_json = R"({"pipeline":"demo","note":")" + std::string(1 << 20, 'x') + R"("})";
  large.model_name = "resnet50";
  large.source_uri = std::string(100'000, 'u');
  ASSERT_TRUE(store_.upsert({{large}}).is_ok());
  start();
  const Json list = get_json("/api/documents");
  EXPECT_EQ(list["cut"], Json::parse(R"(["large"])"));
  const Json head = list["documents"][0];
  EXPECT_EQ(head["metadata_id"], "large");
  EXPECT_EQ(head["pipeline"], "demo");
  EXPECT_EQ(head["model_name"], "resnet50");
  EXPECT_EQ(head["embedding_dim"], 2);
  EXPECT_EQ(head["version"], 10);
  EXPECT_LT(head.dump().size(), 4096U);
  const Json similar = get_json("/api/similar?id=large");
  for (const Json& found : similar["neighbours"]) {
    EXPECT_EQ(found["cut"], found["document"]["metadata_id"] == "large");
    EXPECT_LT(found["document"].dump().size(), 4096U);
  }
  const Json whole = get_json("/api/documents?id=large");
  EXPECT_EQ(whole["documents"][0]["extra"]["note"].get<std::string>().size(), 1U << 20U);
  EXPECT_EQ(whole["cut"], Json::array());
}

TEST_F(PageTest, DocumentsWithAnImageAreToldAndItIsGiven) {
  const TempDir temporary;
  const std::string& folder = temporary.path();
  std::ofstream(folder + "/cat.png") << "cat";
  parts_.media_root = folder;
  use_everything();
  fill_store();
  store::Document with_image = document("cat", {1, 1}, 4);
  with_image.source_uri = "file://" + folder + "/cat.png";
  ASSERT_TRUE(store_.upsert({{with_image}}).is_ok());
  start();
  EXPECT_EQ(get_json("/api/documents")["media"], Json::parse(R"(["cat"])"));
  const Json found = get_json("/api/similar?id=cat&k=4")["neighbours"];
  for (const Json& one : found) EXPECT_EQ(one["media"], one["document"]["metadata_id"] == "cat");
  const http::Response image = get("/api/media?id=cat");
  EXPECT_EQ(image.status, 200);
  EXPECT_EQ(image.content_type, "image/png");
  EXPECT_EQ(image.body, "cat");
  EXPECT_EQ(get("/api/media?id=east").status, 404);
  EXPECT_EQ(get("/api/media?id=nobody").status, 404);
}

TEST_F(PageTest, WrongParametersAreNamed) {
  use_everything();
  start();
  for (const auto& [target, field] :
       std::vector<std::pair<std::string, std::string>>{{"/api/documents?limit=0", "limit"},
                                                        {"/api/documents?limit=201", "limit"},
                                                        {"/api/documents?pipelin=demo", "pipelin"},
                                                        {"/api/similar?id=north&k=0", "k"},
                                                        {"/api/similar?k=3", "id"},
                                                        {"/api/media", "id"}}) {
    const http::Response response = get(target);
    EXPECT_EQ(response.status, 400) << target;
    EXPECT_EQ(Json::parse(response.body)["field"], field) << target;
  }
}

TEST_F(PageTest, NeighboursOfADocumentBeginWithItself) {
  use_everything();
  fill_store();
  start();
  const Json found = get_json("/api/similar?id=north&k=2")["neighbours"];
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0]["document"]["metadata_id"], "north");
  EXPECT_NEAR(found[0]["cosine"].get<double>(), 1.0, 1e-6);
  EXPECT_EQ(found[1]["document"]["metadata_id"], "ne");
  EXPECT_NEAR(found[1]["cosine"].get<double>(), 0.70711, 1e-4);
  EXPECT_EQ(get("/api/similar?id=west").status, 404);
}

TEST_F(PageTest, NeighboursOfAnImageAreThoseOfItsEmbedding) {
  use_everything();
  fill_store();
  parts_.embed = [](std::string_view image) -> Result<std::vector<float>> {
    if (image != "an image") return Status(Code::kInvalidArgument, "neither JPEG, PNG nor WebP");
    return std::vector<float>{2, 0};
  };
  start();
  const http::Response found = send(request_of("POST", "/api/similar?k=1", "an image")).get();
  ASSERT_EQ(found.status, 200);
  EXPECT_EQ(Json::parse(found.body)["neighbours"][0]["document"]["metadata_id"], "east");
  const http::Response refused = send(request_of("POST", "/api/similar", "text")).get();
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr("neither JPEG"));
  EXPECT_EQ(send(request_of("POST", "/api/similar", "")).get().status, 400);
  EXPECT_EQ(get_json("/api/stats")["search_by_image"], true);
}

TEST_F(PageTest, StoreWithoutAModelRefusesImages) {
  use_everything();
  start();
  EXPECT_EQ(send(request_of("POST", "/api/similar", "an image")).get().status, 501);
}

TEST_F(PageTest, FullPoolAnswers503AndTheRestIsServed) {
  StuckStore stuck;
  parts_.store = &stuck;
  start();
  std::vector<std::future<http::Response>> waiting;
  std::optional<http::Response> refused;
  // Two run and 64 wait at most; how many of the first two were taken up by now is a race.
  for (int i = 0; i < 67 && !refused; ++i) {
    auto answer = send(request_of("GET", "/api/documents"));
    if (answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
      refused = answer.get();
    } else {
      waiting.push_back(std::move(answer));
    }
  }
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(header(*refused, "Retry-After"), "1");
  EXPECT_GE(waiting.size(), 64U);
  EXPECT_EQ(get("/").status, 200);
  stuck.let_go();
  for (auto& answer : waiting) EXPECT_EQ(answer.get().status, 200);
}

}  // namespace
}  // namespace ca4::page
