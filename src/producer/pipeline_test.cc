#include "producer/pipeline.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <set>

#include "producer/embed_all.h"
#include "producer/test_support.h"

namespace ca4::producer {
namespace {

using Json = nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;

// The mean of each channel stands for an embedding; counts its runs.
class FakeEmbedder final : public Embedder {
 public:
  FakeEmbedder() {
    info_.name = "fake";
    set_sha256(std::string(64, 'f'));
    info_.output = "mean";
    info_.dim = 3;
    info_.preprocess.resize_side = info_.preprocess.crop_side = 8;
  }
  void set_sha256(const std::string& sha256) { info_.sha256 = sha256; }
  void set_lanes(size_t lanes) { info_.lanes = lanes; }
  const ModelInfo& info() const override { return info_; }
  Result<std::vector<float>> run(std::span<const Tensor> images) override {
    const std::scoped_lock lock(mutex_);
    batches.push_back(images.size());
    if (fails) return Status(Code::kInternal, "the model failed");
    std::vector<float> out;
    for (const Tensor& image : images) {
      const std::vector<float> numbers = numbers_of(image);
      for (size_t i = 0; i < 3; ++i) out.push_back(numbers[i * numbers.size() / 3]);
    }
    return out;
  }

  std::vector<size_t> batches;
  bool fails = false;

 private:
  ModelInfo info_;
  std::mutex mutex_;
};

// A processor without a network: keeps events, answers as `status` says.
class FakeTransport final : public Transport {
 public:
  Result<Reply> post(std::string_view, std::string_view, std::string_view body) override {
    const std::scoped_lock lock(mutex);
    if (after_post) after_post(++posts);
    Reply reply{.status = status, .body = "", .retry_after_ms = {}};
    if (status != 200) return reply;
    for (size_t at = 0; at < body.size(); at = body.find('\n', at) + 1) {
      events.push_back(Json::parse(body.substr(at, body.find('\n', at) - at)));
      reply.body += "{\"status\":\"ok\",\"metadata_id\":\"a\"}\n";
    }
    return reply;
  }
  Result<Reply> get(std::string_view path) override {
    EXPECT_EQ(path, "/health");
    return Reply{.status = health.empty() ? 404 : 200, .body = health, .retry_after_ms = {}};
  }
  std::set<std::string> ids() const {
    std::set<std::string> out;
    for (const Json& event : events) out.insert(event["metadata_id"].get<std::string>());
    return out;
  }

  std::mutex mutex;
  int status = 200;
  std::string health;
  int posts = 0;
  std::function<void(int)> after_post;
  std::vector<Json> events;
};

class Pipeline : public testing::Test {
 protected:
  Pipeline() {
    for (const auto& entry : std::filesystem::directory_iterator(deps("images/formats"))) {
      files_.push_back(entry.path().string());
    }
    options_.id_template = *IdTemplate::parse(kDefaultIdTemplate);
    options_.endpoint = "http://127.0.0.1:1";
    options_.gpu_hardware_json = [] { return R"({"available":false})"; };
    options_.run.pipeline = "test";
    options_.run.tags = {"a", "b"};
    options_.batch_images = 4;
    options_.sender.retry = {.base_ms = 1, .cap_ms = 2, .budget_ms = 50};
  }

  Report run() {
    FileSource source(files_);
    return run_from(source);
  }

  Report run_from(ImageSource& source) {
    auto journal = Journal::open(folder_ / "journal");
    EXPECT_TRUE(journal) << journal.status().message();
    Progress progress;
    Report report = run_pipeline(options_, source, embedder_, transport_, **journal, clock_,
                                 progress, stop_.get_token());
    EXPECT_EQ(progress.sent, report.sent);
    EXPECT_EQ(progress.skipped, report.skipped.size());
    if (report.status.is_ok()) {
      EXPECT_EQ(progress.embedding, 0U);
      EXPECT_EQ(progress.sending, 0U);
    }
    return report;
  }

  TempDir folder_;
  std::vector<std::string> files_;
  PipelineOptions options_;
  FakeEmbedder embedder_;
  FakeTransport transport_;
  ManualClock clock_{1'795'460'000'500'000};
  std::stop_source stop_;
};

TEST_F(Pipeline, SendsEveryImageOnceInFullBatches) {
  const Report report = run();
  EXPECT_TRUE(report.status.is_ok()) << report.status.message();
  EXPECT_EQ(report.files, 22U);
  EXPECT_EQ(report.sent, 22U);
  EXPECT_EQ(transport_.ids().size(), 22U);
  EXPECT_THAT(embedder_.batches, testing::ElementsAre(4, 4, 4, 4, 4, 2));
  EXPECT_LE(report.model_busy_s, report.wall_s);
}

TEST_F(Pipeline, AProcessorThatSaysWhichItIsIsKnownUnderAnotherAddress) {
  transport_.health = R"({"status":"healthy","processor_id":"0192"})";
  EXPECT_EQ(run().sent, 22U);
  options_.endpoint = "https://another-name.example";
  EXPECT_EQ(run().already_sent, 22U);
  transport_.health = R"({"processor_id":"0193"})";  // another one at this address
  EXPECT_EQ(run().sent, 22U);
}

TEST_F(Pipeline, WhatWasSentToAnAddressCountsWhenTheProcessorThereSaysWhichItIs) {
  EXPECT_EQ(run().sent, 22U);  // nobody answered
  transport_.health = R"({"processor_id":"0192"})";
  EXPECT_EQ(run().already_sent, 22U);
  options_.endpoint = "https://another-name.example";
  EXPECT_EQ(run().sent, 22U);
}

TEST_F(Pipeline, WhatDoesNotSayWhichItIsIsKnownByItsAddress) {
  EXPECT_EQ(run().sent, 22U);
  for (const std::string& said :
       {std::string("<html>"), std::string("[]"), std::string("{}"), std::string("7"),
        std::string(R"({"processor_id":7})"), std::string(R"({"processor_id":""})"),
        R"({"processor_id":")" + std::string(65, 'x') + "\"}"}) {
    transport_.health = said;
    EXPECT_EQ(run().already_sent, 22U) << said;
  }
  options_.endpoint = "https://another-name.example";
  EXPECT_EQ(run().sent, 22U);
}

TEST_F(Pipeline, EventIsTheContracts) {
  files_ = {deps("images/formats/png-rgb.png")};
  options_.run.notes = "n\xff";  // no UTF-8
  run();
  ASSERT_EQ(transport_.events.size(), 1U);
  const Json& event = transport_.events.front();
  EXPECT_THAT(event["metadata_id"].get<std::string>(), testing::MatchesRegex("img-[0-9a-f]{32}"));
  EXPECT_EQ(event["source_uri"], "file://" + deps("images/formats/png-rgb.png"));
  EXPECT_EQ(event["source_type"], "image");
  EXPECT_EQ(event["model_name"], "fake");
  EXPECT_EQ(event["model_version"], "ffffffffffff");
  EXPECT_EQ(event["timestamp"], 1795460000.5);
  EXPECT_EQ(event["embedding_dim"], 3);
  EXPECT_EQ(event["embedding_b64"].get<std::string>().size(), 16U);  // 12 bytes
  EXPECT_EQ(event["gpu_hardware"]["available"], false);
  EXPECT_EQ(event["extra"]["pipeline"], "test");
  EXPECT_EQ(event["extra"]["tags"], Json({"a", "b"}));
  EXPECT_EQ(event["extra"]["notes"], "n\xEF\xBF\xBD");
  EXPECT_EQ(event["extra"]["image"]["width"], 451);
  EXPECT_EQ(event["extra"]["image"]["format"], "png");
  EXPECT_EQ(event["extra"]["execution"]["device"], "cpu");
}

TEST_F(Pipeline, NumbersAsTextAreTheSameNumbers) {
  files_ = {deps("images/formats/png-rgb.png")};
  options_.run.numbers_as_text = true;
  run();
  ASSERT_EQ(transport_.events.size(), 1U);
  const auto numbers = transport_.events.front()["embedding"].get<std::vector<float>>();
  EXPECT_EQ(numbers.size(), 3U);
  EXPECT_FALSE(transport_.events.front().contains("embedding_b64"));
}

TEST_F(Pipeline, SecondRunSendsNothing) {
  run();
  const Report second = run();
  EXPECT_TRUE(second.status.is_ok());
  EXPECT_EQ(second.sent, 0U);
  EXPECT_EQ(second.already_sent, 22U);
  EXPECT_EQ(transport_.events.size(), 22U);
}

TEST_F(Pipeline, SeveralLanesSendEveryImageOnce) {
  embedder_.set_lanes(3);
  const Report report = run();
  EXPECT_TRUE(report.status.is_ok());
  EXPECT_EQ(report.sent, 22U);
  EXPECT_EQ(transport_.ids().size(), 22U);
}

TEST_F(Pipeline, FailureInOneLaneEndsAll) {
  embedder_.set_lanes(3);
  embedder_.fails = true;
  EXPECT_EQ(run().status.message(), "the model failed");
}

// Pictures that no file holds; the third can't be had.
class MemorySource final : public ImageSource {
 public:
  Result<std::optional<SourceImage>> next() override {
    if (breaks_at == given_) return Status(Code::kInternal, "the caller's iterator failed");
    if (given_ == 4) return std::optional<SourceImage>();
    const size_t number = given_++;
    return std::optional<SourceImage>({"picture " + std::to_string(number), [number] {
                                         if (number == 2) {
                                           return Result<Image>(Status(Code::kIo, "no pixels"));
                                         }
                                         Image image;
                                         image.width = 9;
                                         image.height = 8;
                                         image.rgb.assign(9 * 8 * 3, static_cast<uint8_t>(number));
                                         image.file_width = 9;
                                         image.file_height = 8;
                                         image.format = "memory";
                                         return Result<Image>(std::move(image));
                                       }});
  }
  std::optional<size_t> count() const override { return std::nullopt; }

  std::optional<size_t> breaks_at;

 private:
  size_t given_ = 0;
};

TEST_F(Pipeline, PicturesInMemoryAreSentUnderTheirNames) {
  MemorySource source;
  const Report report = run_from(source);
  EXPECT_TRUE(report.status.is_ok());
  EXPECT_EQ(report.files, 4U);
  EXPECT_EQ(report.sent, 3U);
  ASSERT_EQ(report.skipped.size(), 1U);
  EXPECT_EQ(report.skipped.front().path, "picture 2");
  EXPECT_EQ(report.skipped.front().reason, "no pixels");
  std::set<std::string> uris;
  for (const Json& event : transport_.events) uris.insert(event["source_uri"].get<std::string>());
  EXPECT_EQ(uris, (std::set<std::string>{"memory:picture%200", "memory:picture%201",
                                         "memory:picture%203"}));
  MemorySource again;
  EXPECT_EQ(run_from(again).already_sent, 3U);
}

TEST_F(Pipeline, SourceThatFailsEndsTheRunWithItsReason) {
  MemorySource source;
  source.breaks_at = 2;
  const Report report = run_from(source);
  EXPECT_EQ(report.status.message(), "the caller's iterator failed");
  EXPECT_EQ(report.sent, 2U);
}

TEST_F(Pipeline, EmbeddingsAloneComeInTheOrderOfTheSource) {
  embedder_.set_lanes(2);
  MemorySource source;
  std::atomic<size_t> done = 0;
  EmbedOptions one_by_one;
  one_by_one.batch_images = 1;
  const auto rows = embed_all(one_by_one, source, embedder_, &done, stop_.get_token());
  ASSERT_TRUE(rows) << rows.status().message();
  EXPECT_EQ(rows->images, 4U);
  EXPECT_EQ(done, 4U);
  ASSERT_EQ(rows->rows.size(), 12U);
  EXPECT_LT(rows->rows[0], rows->rows[3]);
  EXPECT_LT(rows->rows[3], rows->rows[9]);
  EXPECT_EQ(rows->rows[6], 0.0F);
  ASSERT_EQ(rows->bad.size(), 1U);
  EXPECT_EQ(rows->bad.front().index, 2U);
}

TEST_F(Pipeline, EmbeddingsAloneFailAsTheModelOrTheSourceDoes) {
  MemorySource source;
  source.breaks_at = 1;
  EXPECT_EQ(embed_all({}, source, embedder_, nullptr, {}).status().message(),
            "the caller's iterator failed");
  MemorySource whole;
  embedder_.fails = true;
  EXPECT_EQ(embed_all({}, whole, embedder_, nullptr, {}).status().message(), "the model failed");
}

TEST_F(Pipeline, ChangedArgumentsSendAgain) {
  files_.resize(2);
  EXPECT_EQ(run().sent, 2U);
  options_.run.pipeline = "other";
  EXPECT_EQ(run().sent, 2U);
  options_.endpoint += "2";
  EXPECT_EQ(run().sent, 2U);
  embedder_.set_sha256(std::string(64, 'e'));
  EXPECT_EQ(run().sent, 2U);
  EXPECT_EQ(run().sent, 0U);
}

TEST_F(Pipeline, SamePictureTwiceIsSentOnce) {
  const std::string copy = folder_ / "copy.png";
  std::filesystem::copy(deps("images/formats/png-rgb.png"), copy);
  files_ = {deps("images/formats/png-rgb.png"), copy};
  const Report report = run();
  EXPECT_EQ(report.sent, 1U);
  EXPECT_EQ(report.already_sent, 1U);
}

TEST_F(Pipeline, CopyOfABrokenPictureIsSkippedToo) {
  std::ofstream(folder_ / "a.png") << "\x89PNG\r\n\x1a\n and no more";
  std::filesystem::copy(folder_ / "a.png", folder_ / "b.png");
  files_ = {folder_ / "a.png", folder_ / "b.png"};
  const Report report = run();
  EXPECT_EQ(report.already_sent, 0U);
  EXPECT_EQ(report.skipped.size(), 2U);
}

TEST_F(Pipeline, TwoPicturesWithOneIdAreTold) {
  std::vector<std::string> said;
  options_.sender.notify = [&](const std::string& line) { said.push_back(line); };
  options_.id_template = *IdTemplate::parse("a-{model}-{stem}");
  const auto copy = [&](const char* from, const std::string& folder) {
    std::filesystem::create_directory(folder_ / folder);
    std::filesystem::copy(deps(std::string("images/formats/") + from),
                          folder_ / folder + "/001.png");
    files_.push_back(folder_ / folder + "/001.png");
  };
  files_.clear();
  copy("png-rgb.png", "train");
  copy("png-rgb.png", "again");
  EXPECT_EQ(run().sent, 1U);
  EXPECT_TRUE(said.empty()) << said[0];
  copy("png-grey.png", "val");
  // Also of one that was sent before.
  EXPECT_EQ(run().sent, 1U);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_THAT(said[0], HasSubstr("another picture, a-fake-001: "));
}

TEST_F(Pipeline, IdsWithATimeAreStillSentOnce) {
  options_.id_template = *IdTemplate::parse("img-{stem}-{unix}");
  run();
  clock_.advance_us(10'000'000);
  EXPECT_EQ(run().sent, 0U);
  EXPECT_THAT(*transport_.ids().begin(), HasSubstr("-1795460000"));
}

TEST_F(Pipeline, BrokenImagesAreReportedAndTheRestIsSent) {
  for (const auto& entry : std::filesystem::directory_iterator(deps("images/broken"))) {
    files_.insert(files_.begin(), entry.path().string());
  }
  files_.push_back(folder_ / "missing.png");
  const Report report = run();
  EXPECT_TRUE(report.status.is_ok());
  EXPECT_EQ(report.sent, 22U);
  EXPECT_EQ(report.skipped.size(), 8U);
  for (const Skipped& skipped : report.skipped) EXPECT_FALSE(skipped.reason.empty());
  EXPECT_THAT(report.skipped,
              Contains(AllOf(Field(&Skipped::path, folder_ / "missing.png"),
                             Field(&Skipped::reason, "No such file or directory"))));
}

TEST_F(Pipeline, APipeIsSkippedAndNotWaitedFor) {
  ASSERT_EQ(mkfifo((folder_ / "pipe.jpg").c_str(), 0600), 0);
  files_ = {folder_ / "pipe.jpg", files_[0]};
  const Report report = run();
  EXPECT_EQ(report.sent, 1U);
  ASSERT_EQ(report.skipped.size(), 1U);
  EXPECT_EQ(report.skipped[0].reason, "a pipe or a device, no file");
}

TEST_F(Pipeline, OnlyBrokenImagesEndsCleanly) {
  files_ = {deps("images/broken/truncated.jpg")};
  const Report report = run();
  EXPECT_TRUE(report.status.is_ok());
  EXPECT_EQ(report.skipped.size(), 1U);
  EXPECT_TRUE(embedder_.batches.empty());
}

TEST_F(Pipeline, RunAfterAFailureGoesOnWhereItWas) {
  // in_flight_max 1: batches are sent one after the other, the third meets a dead processor.
  options_.sender.in_flight_max = 1;
  transport_.after_post = [this](int post) {
    if (post == 3) transport_.status = 500;
  };
  const Report first = run();
  EXPECT_EQ(first.status.code(), Code::kUnavailable);
  EXPECT_EQ(first.sent, 8U);
  transport_.after_post = nullptr;
  transport_.status = 200;
  const Report second = run();
  EXPECT_TRUE(second.status.is_ok());
  EXPECT_EQ(second.already_sent, 8U);
  EXPECT_EQ(second.sent, 14U);
  EXPECT_EQ(transport_.events.size(), 22U);  // nothing twice
}

TEST_F(Pipeline, StopSendsWhatIsInFlightAndTheNextRunTheRest) {
  transport_.after_post = [this](int) { stop_.request_stop(); };
  options_.decode_threads = 1;
  const Report first = run();
  EXPECT_EQ(first.status.code(), Code::kCancelled);
  EXPECT_GT(first.sent, 0U);
  EXPECT_LT(first.sent, 22U);
  stop_ = std::stop_source();
  transport_.after_post = nullptr;
  const Report second = run();
  EXPECT_EQ(first.sent + second.sent, 22U);
  EXPECT_EQ(transport_.events.size(), 22U);
}

TEST_F(Pipeline, StopBeforeTheStartSendsNothing) {
  stop_.request_stop();
  const Report report = run();
  EXPECT_EQ(report.status.code(), Code::kCancelled);
  EXPECT_EQ(report.sent, 0U);
}

TEST_F(Pipeline, ModelThatFailsEndsTheRunWithItsReason) {
  embedder_.fails = true;
  const Report report = run();
  EXPECT_EQ(report.status.message(), "the model failed");
  EXPECT_EQ(report.sent, 0U);
}

TEST_F(Pipeline, IdThatIsTooLongIsSkipped) {
  files_.resize(1);
  options_.id_template = *IdTemplate::parse(std::string(600, 'x') + "{sha}");
  const Report report = run();
  ASSERT_EQ(report.skipped.size(), 1U);
  EXPECT_THAT(report.skipped.front().reason, HasSubstr("limit is 512"));
}

}  // namespace
}  // namespace ca4::producer
