#include "archive/batch.h"

#include <gmock/gmock.h>
#include <zstd.h>

#include <map>
#include <utility>

#include "archive/memory_archive.h"
#include "archive/npy.h"
#include "archive/part.h"
#include "store/store_test_support.h"

namespace ca4::archive {
namespace {

using store::Document;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kHourUs = 3'600'000'000;
constexpr int64_t kEvening = 1'795'460'297'000'123;  // 2026-11-23T18:58:17.000123Z

Document document_at(int64_t offset, int64_t ingested_at_us, size_t dim = 3,
                     int32_t partition = 0) {
  std::vector<float> embedding(dim, 0.5F);
  embedding[0] = static_cast<float>(offset);
  Document document = store::make_document("id-" + std::to_string(offset), 1, embedding);
  document.offset = offset;
  document.partition = partition;
  document.ingested_at_us = ingested_at_us;
  return document;
}

void archive(MemoryArchive& archive, const std::vector<Document>& batch) {
  const Result<std::vector<Object>> objects = archive_objects(batch);
  ASSERT_TRUE(objects) << objects.status().to_string();
  for (const Object& object : *objects) {
    ASSERT_TRUE(archive.put(object.key, object.body, object.content_type).is_ok());
  }
}

std::vector<std::string> keys(Archive& archive) {
  std::vector<std::string> found;
  const Result<std::vector<ObjectInfo>> listed = archive.list("");
  for (const ObjectInfo& info : *listed) found.push_back(info.key);
  return found;
}

// The archive's view: each (partition, offset) once, in order. What is there twice must be equal.
std::vector<Document> view(Archive& archive) {
  std::map<std::pair<int32_t, int64_t>, Document> rows;
  for (const std::string& key : keys(archive)) {
    if (!key.ends_with(".ndjson.zst")) continue;
    const Result<std::vector<Document>> part = read_part(archive, key);
    EXPECT_TRUE(part) << part.status().to_string();
    if (!part) continue;
    for (const Document& document : *part) {
      const auto [row, inserted] =
          rows.try_emplace({document.partition, document.offset}, document);
      if (!inserted) {
        EXPECT_EQ(to_json(row->second, true), to_json(document, true));
      }
    }
  }
  std::vector<Document> all;
  for (auto& [position, document] : rows) all.push_back(std::move(document));
  return all;
}

// <events>: `printf 'id-17 1 00ff\nid-18 1 00ff\n' | sha256sum | cut -c1-8`
TEST(ArchiveBatch, KeysTellTopicDateHourPartitionOffsetsEventsAndDimension) {
  MemoryArchive memory;
  archive(memory, {document_at(17, kEvening, 3), document_at(18, kEvening, 2048),
                   document_at(19, kEvening + kHourUs, 3), document_at(5, kEvening, 3, 2)});
  const std::string evening = "gpu-metadata/dt=2026-11-23/hour=18/";
  const std::string later = "gpu-metadata/dt=2026-11-23/hour=19/";
  EXPECT_THAT(
      keys(memory),
      ElementsAre(evening + "p0-00000000000000000017-00000000000000000018-f8ec67f8.d2048.npy",
                  evening + "p0-00000000000000000017-00000000000000000018-f8ec67f8.d3.npy",
                  evening + "p0-00000000000000000017-00000000000000000018-f8ec67f8.ndjson.zst",
                  evening + "p2-00000000000000000005-00000000000000000005-3e61b8c9.d3.npy",
                  evening + "p2-00000000000000000005-00000000000000000005-3e61b8c9.ndjson.zst",
                  later + "p0-00000000000000000019-00000000000000000019-d930bf23.d3.npy",
                  later + "p0-00000000000000000019-00000000000000000019-d930bf23.ndjson.zst"));
}

TEST(ArchiveBatch, MatricesArePutBeforeTheRowsThatNameThem) {
  const std::vector<Document> batch = {document_at(1, kEvening, 3), document_at(2, kEvening, 4)};
  const Result<std::vector<Object>> objects = archive_objects(batch);
  ASSERT_TRUE(objects);
  ASSERT_EQ(objects->size(), 3U);
  EXPECT_THAT((*objects)[0].key, HasSubstr(".d3.npy"));
  EXPECT_THAT((*objects)[1].key, HasSubstr(".d4.npy"));
  EXPECT_THAT((*objects)[2].key, HasSubstr(".ndjson.zst"));
}

TEST(ArchiveBatch, EachRowNamesItsRowOfItsMatrix) {
  const std::vector<Document> batch = {document_at(1, kEvening, 3), document_at(2, kEvening, 4),
                                       document_at(3, kEvening, 3)};
  const Result<std::vector<Object>> objects = archive_objects(batch);
  ASSERT_TRUE(objects);
  const std::string& body = objects->back().body;
  std::string rows(ZSTD_getFrameContentSize(body.data(), body.size()), '\0');
  ASSERT_EQ(ZSTD_decompress(rows.data(), rows.size(), body.data(), body.size()), rows.size());
  const size_t last = rows.rfind('\n', rows.size() - 2) + 1;
  std::string expected = store::to_json(batch[2], false);
  expected.pop_back();
  expected +=
      R"(,"embedding_file":"p0-00000000000000000001-00000000000000000003-1c76a926.d3.npy","embedding_row":1})";
  EXPECT_EQ(rows.substr(last), expected + "\n");
}

TEST(ArchiveBatch, DocumentsComeBackAsTheyWere) {
  MemoryArchive memory;
  const std::vector<Document> batch = {document_at(1, kEvening, 3), document_at(2, kEvening, 2048),
                                       document_at(3, kEvening + kHourUs, 1)};
  archive(memory, batch);
  const std::vector<Document> read = view(memory);
  ASSERT_EQ(read.size(), 3U);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(to_json(read[i], true), to_json(batch[i], true));
}

TEST(ArchiveBatch, TheSameDocumentsGiveTheSameObjectsInAnyOrder) {
  const Document a = document_at(1, kEvening);
  const Document b = document_at(2, kEvening);
  const Result<std::vector<Object>> once = archive_objects({{a, b}});
  const Result<std::vector<Object>> again = archive_objects({{b, a}});
  ASSERT_EQ(once->size(), again->size());
  for (size_t i = 0; i < once->size(); ++i) {
    EXPECT_EQ((*once)[i].key, (*again)[i].key);
    EXPECT_EQ((*once)[i].body, (*again)[i].body);
  }
}

// A topic that was deleted and made again gives the same offsets to other events.
TEST(ArchiveBatch, OtherEventsAtTheSameOffsetsReplaceNothing) {
  Document old = document_at(0, kEvening);
  Document other = old;
  other.metadata_id = "another";
  Document later = old;
  later.version = 2;
  Document changed = old;
  changed.payload_hash = "11ff";
  MemoryArchive memory;
  for (const Document& document : {old, other, later, changed}) archive(memory, {document});
  EXPECT_EQ(keys(memory).size(), 2 * 4U);
}

// A crash before the commit, then redelivery in every possible cut: hours interleave, as they do
// when acceptance times are a little out of order.
TEST(ArchiveBatch, RedeliveryCutElsewhereLeavesEachRowOnceInTheView) {
  const int hours[] = {0, 1, 0, 1, 1, 0, 2, 2};
  const size_t dims[] = {3, 3, 4, 4, 5, 4, 5, 3};
  std::vector<Document> batch;
  for (int i = 0; i < 8; ++i) {
    batch.push_back(document_at(100 + i, kEvening + hours[i] * kHourUs, dims[i]));
  }
  for (long first_cut = 1; first_cut <= 8; ++first_cut) {
    for (long cut = 1; cut <= 8; ++cut) {
      MemoryArchive memory;
      archive(memory, {batch.begin(), batch.begin() + first_cut});  // put, never committed
      archive(memory, {batch.begin(), batch.begin() + cut});
      if (cut < 8) archive(memory, {batch.begin() + cut, batch.end()});
      const std::vector<Document> all = view(memory);
      ASSERT_EQ(all.size(), 8U) << first_cut << ", " << cut;
      for (int i = 0; i < 8; ++i) EXPECT_EQ(all[static_cast<size_t>(i)].offset, 100 + i);
    }
  }
}

// Two writers of a partition, of which the one that lost it finishes last, with less in hand.
TEST(ArchiveBatch, AWriterThatIsLateTakesNothingAway) {
  std::vector<Document> batch;
  for (int i = 0; i < 8; ++i) batch.push_back(document_at(100 + i, kEvening));
  MemoryArchive memory;
  archive(memory, batch);
  archive(memory, {batch.begin(), batch.begin() + 3});
  EXPECT_EQ(view(memory).size(), 8U);
}

TEST(ArchiveBatch, ATopicThatIsNoPartOfAKeyIsRefused) {
  std::vector<Document> batch = {document_at(1, kEvening)};
  batch[0].topic = "../elsewhere";
  EXPECT_EQ(archive_objects(batch).status().code(), Code::kInvalidArgument);
}

TEST(ArchivePart, DamageIsReportedWithTheObject) {
  MemoryArchive memory;
  archive(memory, {document_at(1, kEvening)});
  const std::string matrix = keys(memory)[0];
  const std::string rows = keys(memory)[1];
  EXPECT_EQ(read_part(memory, "nothing.ndjson.zst").status().code(), Code::kNotFound);
  const std::string good = *memory.get(rows);
  for (size_t size = 0; size < good.size(); ++size) {
    ASSERT_TRUE(memory.put(rows, good.substr(0, size), "").is_ok());
    EXPECT_EQ(read_part(memory, rows).status().code(), Code::kCorruption) << size;
  }
  ASSERT_TRUE(memory.put(rows, good, "").is_ok());
  ASSERT_TRUE(memory.put(matrix, "not a matrix", "").is_ok());
  EXPECT_THAT(read_part(memory, rows).status().message(), HasSubstr(rows + ":1: npy"));
}

}  // namespace
}  // namespace ca4::archive
