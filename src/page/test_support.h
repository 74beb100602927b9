// A page over parts in memory, asked without a server.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>

#include "log/memory_log.h"
#include "page/page.h"
#include "store/memory_store.h"

namespace ca4::page {

using Json = nlohmann::json;

inline const Guard kOpen = [](http::Handler handler) { return handler; };

inline http::Request request_of(const std::string& method, const std::string& target,
                                const std::string& body = {}) {
  http::Request request;
  request.method = method;
  request.path = target.substr(0, target.find('?'));
  if (target.size() > request.path.size()) request.query = target.substr(request.path.size() + 1);
  request.body_capacity = body.size() + 64;
  request.body_data = std::make_unique<char[]>(request.body_capacity);
  request.body_bytes = body.size();
  std::memcpy(request.body_data.get(), body.data(), body.size());
  return request;
}

inline store::Document document(const std::string& id, std::vector<float> embedding,
                                int64_t offset) {
  store::Document made;
  made.metadata_id = id;
  made.version = static_cast<uint64_t>(offset) + 1;
  made.gpu_hardware_json = "null";
  made.extra_json = R"({"pipeline":"demo"})";
  made.other_json = "{}";
  made.pipeline = "demo";
  made.embedding = std::move(embedding);
  made.topic = "gpu-metadata";
  made.offset = offset;
  made.ingested_at_us = 1'000'000 * offset;
  return made;
}

// A store whose readers wait until they are let go.
class StuckStore final : public store::DocumentStore {
 public:
  Result<std::vector<store::UpsertResult>> upsert(std::span<const store::Document>) override {
    return Status(Code::kIo, "read only");
  }
  Status find(const store::Filter&, const store::FindOptions&, const store::Visit&) override {
    gate_.wait();
    return Status::ok();
  }
  Result<uint64_t> count(const store::Filter&) override { return uint64_t{0}; }
  Result<std::vector<store::Neighbour>> similar(std::span<const float>, size_t,
                                                const store::Filter&) override {
    return std::vector<store::Neighbour>{};
  }
  Status remove(std::string_view) override { return {Code::kIo, "read only"}; }
  Status ping() override {
    if (silent) gate_.wait();
    return {Code::kUnavailable, "store is away"};
  }

  std::atomic<bool> silent = false;  // also when it is asked whether it is there
  void let_go() { opened_.set_value(); }

 private:
  std::promise<void> opened_;
  std::shared_future<void> gate_ = opened_.get_future().share();
};

class PageTest : public ::testing::Test {
 protected:
  PageTest() {
    parts_.clock = &clock_;
    parts_.version = "0.1.0";
  }

  void use_everything() {
    parts_.traffic = &traffic_;
    parts_.log = &log_;
    parts_.groups = {"ca4-worker", "ca4-archiver"};
    parts_.dead_letters = &dead_letters_;
    parts_.store = &store_;
    parts_.connections = [] { return size_t{3}; };
  }
  void start(const Guard& guard = kOpen) {
    page_ = std::make_unique<Page>(parts_);
    page_->add_routes(router_, guard);
  }

  std::future<http::Response> send(http::Request request) {
    auto answer = std::make_shared<std::promise<http::Response>>();
    auto future = answer->get_future();
    router_.route(std::move(request),
                  [answer](http::Response response) { answer->set_value(std::move(response)); });
    return future;
  }
  http::Response get(const std::string& target) { return send(request_of("GET", target)).get(); }
  Json get_json(const std::string& target) {
    const http::Response response = get(target);
    EXPECT_EQ(response.status, 200) << response.body;
    return Json::parse(response.body);
  }
  void append(log::EventLog& log, size_t records) {
    for (size_t i = 0; i < records; ++i) {
      ASSERT_TRUE(log::append_and_wait(log, {{.key = "k", .value = "v", .headers = {}}}).is_ok());
    }
  }
  void fill_store() {
    const std::vector<store::Document> documents = {
        document("north", {0, 1}, 1), document("east", {1, 0}, 2), document("ne", {1, 1}, 3)};
    ASSERT_TRUE(store_.upsert(documents).is_ok());
  }

  ManualClock clock_{1'700'000'000'000'000};
  ops::Traffic traffic_;
  log::MemoryLog log_{{}, clock_};
  log::MemoryLog dead_letters_{{.topic = "gpu-metadata.dlq"}, clock_};
  store::MemoryStore store_;
  PageParts parts_;
  http::Router router_;
  std::unique_ptr<Page> page_;  // last: its pool uses the others
};

inline std::string header(const http::Response& response, const std::string& name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return {};
}

}  // namespace ca4::page
