// What only the embedded store promises: durability, other processes, clear refusals.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/sqlite.h"
#include "store/embedded_store.h"
#include "store/store_conformance.h"

namespace ca4::store {
namespace {

using testing::HasSubstr;

std::unique_ptr<DocumentStore> open_embedded(const std::string& dir) {
  Result<std::unique_ptr<EmbeddedStore>> store = EmbeddedStore::open({.dir = dir});
  EXPECT_TRUE(store) << store.status().to_string();
  return store ? std::move(*store) : nullptr;
}

constexpr Backend kEmbedded = {"store", open_embedded};
INSTANTIATE_TEST_SUITE_P(Embedded, StoreConformance, testing::Values(kEmbedded), backend_name);
INSTANTIATE_TEST_SUITE_P(Embedded, StoreSimilar, testing::Values(kEmbedded), backend_name);

std::string store_file(const TempDir& dir) {
  return dir.path() + "/ca4.gpu_metadata.db";
}

TEST(EmbeddedStore, KeepsEverythingWhenClosedAndOpenedAgain) {
  const TempDir dir;
  (void)open_embedded(dir.path())->upsert(std::vector{make_document("a", 3)});
  const std::unique_ptr<DocumentStore> again = open_embedded(dir.path());
  EXPECT_EQ(*again->count({}), 1U);
  EXPECT_EQ(again->upsert(std::vector{make_document("a", 3)})->front().outcome,
            Outcome::kUnchanged);
  EXPECT_EQ(again->similar(std::vector<float>{1, 2, 2}, 1, {})->size(), 1U);
}

TEST(EmbeddedStore, MakesTheDataFolder) {
  const TempDir dir;
  EXPECT_NE(open_embedded(dir.path() + "/a/b"), nullptr);
}

TEST(EmbeddedStore, ReadOnlyWithoutAStoreSaysWhatToGive) {
  const TempDir dir;
  const auto store = EmbeddedStore::open({.dir = dir.path(), .read_only = true});
  ASSERT_FALSE(store);
  EXPECT_EQ(store.status().code(), Code::kNotFound);
  EXPECT_THAT(store.status().message(), HasSubstr(dir.path() + ": no document store here"));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(EmbeddedStore, ReadOnlyWhereOneCannotLookDoesNotSayThatThereIsNone) {
  const TempDir dir;
  std::filesystem::create_symlink("loop", dir.path() + "/loop");  // holds for root, too
  const auto store = EmbeddedStore::open({.dir = dir.path() + "/loop", .read_only = true});
  ASSERT_FALSE(store);
  EXPECT_EQ(store.status().code(), Code::kIo);
  EXPECT_THAT(store.status().message(), HasSubstr("symbolic links"));
}

TEST(EmbeddedStore, ReadOnlyReadsBesideTheWriterAndAfterIt) {
  const TempDir dir;
  std::unique_ptr<DocumentStore> writer = open_embedded(dir.path());
  (void)writer->upsert(std::vector{make_document("a")});
  const auto reader = EmbeddedStore::open({.dir = dir.path(), .read_only = true});
  ASSERT_TRUE(reader) << reader.status().to_string();
  EXPECT_EQ(*(*reader)->count({}), 1U);
  (void)writer->upsert(std::vector{make_document("b")});
  EXPECT_EQ(*(*reader)->count({}), 2U);
  EXPECT_EQ((*reader)->upsert(std::vector{make_document("c")}).status().code(), Code::kInternal);
  EXPECT_EQ((*reader)->remove("a").code(), Code::kInternal);
  writer.reset();
  const auto later = EmbeddedStore::open({.dir = dir.path(), .read_only = true});
  ASSERT_TRUE(later) << later.status().to_string();
  EXPECT_EQ(*(*later)->count({}), 2U);
}

TEST(EmbeddedStore, AFileThatIsNoDatabaseIsCorruption) {
  const TempDir dir;
  std::ofstream(store_file(dir)) << std::string(10'000, 'x');
  for (const bool read_only : {true, false}) {
    const auto store = EmbeddedStore::open({.dir = dir.path(), .read_only = read_only});
    ASSERT_FALSE(store);
    EXPECT_EQ(store.status().code(), Code::kCorruption) << store.status().to_string();
  }
}

TEST(EmbeddedStore, AFileOfANewerVersionIsRefused) {
  const TempDir dir;
  (void)open_embedded(dir.path());
  ASSERT_TRUE(sqlite::Database::open(store_file(dir), {})->exec("PRAGMA user_version = 2").is_ok());
  const auto store = EmbeddedStore::open({.dir = dir.path()});
  ASSERT_FALSE(store);
  EXPECT_EQ(store.status().code(), Code::kConfig);
  EXPECT_THAT(store.status().message(), HasSubstr("newer CA4"));
}

TEST(EmbeddedStore, ADamagedEmbeddingIsReportedWithItsId) {
  const TempDir dir;
  const std::unique_ptr<DocumentStore> store = open_embedded(dir.path());
  (void)store->upsert(std::vector{make_document("a")});
  ASSERT_TRUE(sqlite::Database::open(store_file(dir), {})
                  ->exec("UPDATE vectors SET embedding = x'00'")
                  .is_ok());
  const Status status =
      store->find({}, {.with_embedding = true}, [](const Document&) { return true; });
  EXPECT_EQ(status.code(), Code::kCorruption);
  EXPECT_THAT(status.message(), HasSubstr("embedding of 'a'"));
}

TEST(EmbeddedStore, WhoeverIsShownDocumentsForEverMakesNoFileGrow) {
  const TempDir dir;
  const std::unique_ptr<DocumentStore> store = open_embedded(dir.path());
  (void)store->upsert(std::vector{make_document("a"), make_document("b"), make_document("c")});
  std::vector<std::string> shown;
  const Status status = store->find({}, {.limit = 0}, [&](const Document& document) {
    shown.push_back(document.metadata_id);
    // What the write-ahead log keeps to between its beginnings, several times over.
    for (uint64_t version = 2; shown.size() == 1 && version < 80; ++version) {
      const std::vector<float> embedding(size_t{1} << 18U, static_cast<float>(version));
      EXPECT_TRUE(store->upsert(std::vector{make_document("d", version, embedding)}));
    }
    return shown.size() > 1 || store->remove("b").is_ok();
  });
  EXPECT_TRUE(status.is_ok()) << status.to_string();
  EXPECT_THAT(shown, testing::ElementsAre("c", "a"));
  EXPECT_LT(std::filesystem::file_size(store_file(dir) + "-wal"), 48U << 20U);
}

// Writes batches and says each acknowledged one on `out`, until it is killed.
[[noreturn]] void write_until_killed(const std::string& dir, int out) {
  const std::unique_ptr<DocumentStore> store = open_embedded(dir);
  for (int batch = 0;; ++batch) {
    std::vector<Document> documents;
    for (int i = 0; i < 8; ++i) {
      documents.push_back(make_document(std::to_string(batch) + "-" + std::to_string(i)));
      documents.back().embedding.assign(2048, static_cast<float>(batch + 1));
    }
    if (!store->upsert(documents)) _exit(1);
    if (write(out, &batch, sizeof batch) != sizeof batch) _exit(1);
  }
}

TEST(EmbeddedStore, KilledWithoutWarningLosesNothingAcknowledged) {
  const TempDir dir;
  for (int round = 0; round < 4; ++round) {
    const std::string path = dir.path() + "/" + std::to_string(round);
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) write_until_killed(path, ends[1]);
    close(ends[1]);
    int acknowledged = -1;
    const int kill_after = 5 + 13 * round;
    while (acknowledged < kill_after) {
      ASSERT_EQ(read(ends[0], &acknowledged, sizeof acknowledged),
                static_cast<ssize_t>(sizeof acknowledged));
    }
    ASSERT_EQ(kill(child, SIGKILL), 0);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    int last = 0;
    while (read(ends[0], &last, sizeof last) == static_cast<ssize_t>(sizeof last)) {
      acknowledged = last;
    }
    close(ends[0]);
    const auto store = EmbeddedStore::open({.dir = path, .read_only = true});
    ASSERT_TRUE(store) << store.status().to_string();
    for (int batch = 0; batch <= acknowledged; ++batch) {
      for (int i = 0; i < 8; ++i) {
        const std::string id = std::to_string(batch) + "-" + std::to_string(i);
        EXPECT_EQ(*(*store)->count({.metadata_id = id}), 1U) << id;
      }
    }
    EXPECT_LE(*(*store)->count({}), 8U * static_cast<size_t>(acknowledged + 2));
  }
}

}  // namespace
}  // namespace ca4::store
