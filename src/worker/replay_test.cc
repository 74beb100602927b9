#include "worker/replay.h"

#include <gmock/gmock.h>

#include "archive/batch.h"
#include "archive/memory_archive.h"
#include "log/memory_log.h"
#include "store/memory_store.h"
#include "worker/fake_ports.h"
#include "worker/test_support.h"

namespace ca4::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kHourUs = 3'600'000'000;
constexpr int64_t kEvening = 1'795'460'297'000'123;  // 2026-11-23T18:58:17.000123Z

store::Document document_at(int64_t offset, int64_t ingested_at_us, size_t dim = 3) {
  store::Document document;
  document.metadata_id = "id-" + std::to_string(offset % 10);
  document.version = static_cast<uint64_t>(offset);
  document.extra_json = R"({"pipeline":"p"})";
  document.other_json = "{}";
  document.gpu_hardware_json = "null";
  document.embedding.assign(dim, static_cast<float>(offset));
  document.ingested_at_us = ingested_at_us;
  document.topic = "gpu-metadata";
  document.offset = offset;
  return document;
}

class ReplayTest : public testing::Test {
 protected:
  void archive(const std::vector<store::Document>& batch) {
    const Result<std::vector<archive::Object>> objects = archive::archive_objects(batch);
    ASSERT_TRUE(objects);
    for (const archive::Object& object : *objects) {
      ASSERT_TRUE(archive_.put(object.key, object.body, "").is_ok());
    }
  }
  Status from_archive(ReplayOptions options = {}) {
    options.patience_ms = 200;
    options.backoff = {.min_ms = 1, .max_ms = 4};
    Replay replay(store_, clock_, options, nullptr);
    Status status = replay.from_archive(archive_, "gpu-metadata");
    progress_ = replay.progress();
    return status;
  }
  std::vector<std::string> ids() {
    std::vector<std::string> found;
    for (const auto& [id, document] : store_.all()) found.push_back(id);
    return found;
  }

  archive::MemoryArchive archive_;
  FakeStore store_;
  const ManualClock clock_{kEvening + 1};
  ReplayProgress progress_;
};

TEST_F(ReplayTest, TheLastVersionOfAnIdWinsInWhateverOrderPartsAreRead) {
  archive({document_at(11, kEvening), document_at(2, kEvening)});
  archive({document_at(1, kEvening + kHourUs), document_at(12, kEvening + kHourUs, 5)});
  ASSERT_TRUE(from_archive().is_ok());
  EXPECT_THAT(ids(), ElementsAre("id-1", "id-2"));
  EXPECT_EQ(store_.all()["id-1"].offset, 11);
  EXPECT_EQ(store_.all()["id-2"].embedding.size(), 5U);
  EXPECT_EQ(store_.all()["id-2"].processed_at_us, clock_.now_us());
  EXPECT_EQ(progress_.parts, 2U);
  EXPECT_EQ(progress_.documents, 4U);
  EXPECT_EQ(progress_.inserted + progress_.updated, 3U);
  ASSERT_TRUE(from_archive().is_ok());
  EXPECT_EQ(progress_.inserted + progress_.updated, 0U);
}

TEST_F(ReplayTest, OnlyWhatWasAcceptedInTheTimeAskedFor) {
  for (int hour = 0; hour < 5; ++hour) archive({document_at(hour, kEvening + hour * kHourUs)});
  ASSERT_TRUE(
      from_archive({.from_us = kEvening + kHourUs, .until_us = kEvening + 3 * kHourUs}).is_ok());
  EXPECT_THAT(ids(), ElementsAre("id-1", "id-2"));
  EXPECT_LE(progress_.parts, 3U);  // the others are not even read
  ASSERT_TRUE(from_archive({.from_us = kEvening + 10 * kHourUs}).is_ok());
  EXPECT_EQ(progress_.parts, 0U);
}

TEST_F(ReplayTest, ADryRunReadsEverythingAndWritesNothing) {
  archive({document_at(1, kEvening)});
  ASSERT_TRUE(from_archive({.dry_run = true}).is_ok());
  EXPECT_EQ(progress_.documents, 1U);
  EXPECT_EQ(store_.upserts, 0);
}

TEST_F(ReplayTest, ADamagedPartIsNamedAndItsNeighboursAreReplayed) {
  for (int64_t offset = 1; offset <= 3; ++offset) archive({document_at(offset, kEvening)});
  const auto objects = archive_.list(
      "gpu-metadata/dt=2026-11-23/hour=18/p0-00000000000000000002-00000000000000000002-");
  ASSERT_EQ(objects->size(), 2U);
  const std::string key = objects->back().key;  // behind its matrix
  ASSERT_TRUE(archive_.put(key, "not zstd", "").is_ok());
  ASSERT_TRUE(from_archive().is_ok());
  EXPECT_THAT(ids(), ElementsAre("id-1", "id-3"));
  EXPECT_EQ(progress_.damaged, 1U);
  EXPECT_EQ(progress_.problems.at(0).first, key);
}

TEST_F(ReplayTest, AnArchiveOfSomethingElseIsSaid) {
  EXPECT_EQ(from_archive().code(), Code::kNotFound);
  ASSERT_TRUE(archive_.put("other/dt=2026-11-23/x", "", "").is_ok());
  const Status status = from_archive();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("gpu-metadata"));
}

TEST_F(ReplayTest, AStoreThatComesBackIsWaitedForAndOneThatStaysAwayIsNot) {
  archive({document_at(1, kEvening)});
  int failures = 2;
  store_.on_upsert = [&] {
    return failures-- > 0 ? Status(Code::kUnavailable, "away") : Status::ok();
  };
  ASSERT_TRUE(from_archive().is_ok());
  EXPECT_THAT(ids(), ElementsAre("id-1"));
  store_.on_upsert = [] { return Status(Code::kUnavailable, "away"); };
  EXPECT_EQ(from_archive().code(), Code::kUnavailable);
}

TEST_F(ReplayTest, ADocumentThatTheStoreRefusesStopsNoOther) {
  archive({document_at(1, kEvening), document_at(2, kEvening), document_at(3, kEvening)});
  store_.on_document = [](const store::Document& document) -> std::optional<store::UpsertResult> {
    if (document.metadata_id != "id-2") return std::nullopt;
    return store::UpsertResult{store::Outcome::kDeadLetter, "too large"};
  };
  ASSERT_TRUE(from_archive().is_ok());
  EXPECT_THAT(ids(), ElementsAre("id-1", "id-3"));
  EXPECT_EQ(progress_.refused, 1U);
  EXPECT_THAT(progress_.problems,
              ElementsAre(std::pair<std::string, std::string>("id-2", "too large")));
}

TEST_F(ReplayTest, ABatchThatIsWrongInItselfIsHalvedUntilTheWrongOneIsAlone) {
  std::vector<store::Document> batch;
  for (int i = 0; i < 9; ++i) batch.push_back(document_at(i, kEvening));
  archive(batch);
  class Picky final : public store::DocumentStore {
   public:
    Result<std::vector<store::UpsertResult>> upsert(
        std::span<const store::Document> documents) override {
      for (const store::Document& document : documents) {
        if (document.metadata_id == "id-4") return Status(Code::kTooLarge, "no");
      }
      stored += documents.size();
      return std::vector<store::UpsertResult>(documents.size());
    }
    Status find(const store::Filter&, const store::FindOptions&, const store::Visit&) override {
      return Status::ok();
    }
    Result<uint64_t> count(const store::Filter&) override { return stored; }
    Result<std::vector<store::Neighbour>> similar(std::span<const float>, size_t,
                                                  const store::Filter&) override {
      return std::vector<store::Neighbour>{};
    }
    Status remove(std::string_view) override { return Status::ok(); }
    Status ping() override { return Status::ok(); }
    size_t stored = 0;
  } picky;
  Replay replay(picky, clock_, {}, nullptr);
  ASSERT_TRUE(replay.from_archive(archive_, "gpu-metadata").is_ok());
  EXPECT_EQ(picky.stored, 8U);
  EXPECT_EQ(replay.progress().refused, 1U);
}

TEST_F(ReplayTest, TheLogIsReplayedThroughTheTransformAndBadRecordsAreSkipped) {
  log::MemoryLog log({.topic = "gpu-metadata"}, clock_);
  ASSERT_TRUE(log::append_and_wait(
      log, {make_record("a", 1), {"key", "broken", {}}, make_record("b", 2), make_record("a", 3)}));
  Replay replay(store_, clock_, {}, nullptr);
  ASSERT_TRUE(replay.from_log(log).is_ok());
  EXPECT_THAT(ids(), ElementsAre("a", "b"));
  EXPECT_EQ(store_.all()["a"].offset, 3);
  EXPECT_EQ(store_.all()["a"].processed_at_us, clock_.now_us());
  EXPECT_EQ(replay.progress().skipped, 1U);
}

}  // namespace
}  // namespace ca4::worker
