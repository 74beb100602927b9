#include "base/sqlite.h"

#include <gtest/gtest.h>

#include <barrier>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "base/test_dir.h"

namespace ca4::sqlite {
namespace {

class SqliteTest : public testing::Test {
 protected:
  std::string path() const { return dir_ / "x.db"; }

  TempDir dir_;
};

TEST_F(SqliteTest, ReadOnlyOpenOfAMissingFileIsNotFoundAndNamesThePath) {
  Result<Database> db = Database::open(path(), {.read_only = true});
  ASSERT_FALSE(db.is_ok());
  EXPECT_EQ(db.status().code(), Code::kNotFound);
  EXPECT_NE(db.status().message().find(path()), std::string::npos);
}

TEST_F(SqliteTest, FileThatIsNoDatabaseIsCorruption) {
  std::ofstream(path()) << std::string(4096, 'x');
  Result<Database> db = Database::open(path(), {.read_only = true});
  ASSERT_TRUE(db.is_ok());
  const Status status = db->query_int("SELECT count(*) FROM sqlite_schema").status();
  EXPECT_EQ(status.code(), Code::kCorruption);
  EXPECT_NE(status.message().find("move it away"), std::string::npos);
}

TEST_F(SqliteTest, WhatCanOnlyBeReadIsToldWithWhatToDo) {
  ASSERT_TRUE(Database::open(path(), {})->exec("CREATE TABLE t(a)").is_ok());
  Result<Database> db = Database::open(path(), {.read_only = true});
  ASSERT_TRUE(db.is_ok());
  const std::string message = db->exec("INSERT INTO t VALUES(1)").message();
  EXPECT_EQ(message.find(path() + ": it can't be written, only read: does the data belong"), 0U)
      << message;
}

TEST_F(SqliteTest, MissingFolderIsAnIoErrorWithTheSystemsReason) {
  Result<Database> db = Database::open(dir_ / "none/x.db", {});
  ASSERT_FALSE(db.is_ok());
  EXPECT_EQ(db.status().code(), Code::kIo);
  EXPECT_NE(db.status().message().find("No such file"), std::string::npos) << db.status().message();
}

TEST_F(SqliteTest, EmptyBlobAndTextAreNotNullAndBinaryComesBack) {
  Result<Database> db = Database::open(path(), {.page_size_bytes = 8192});
  ASSERT_TRUE(db.is_ok());
  ASSERT_TRUE(db->exec("CREATE TABLE t(a BLOB, b TEXT, c REAL, d)").is_ok());
  EXPECT_EQ(*db->query_int("PRAGMA page_size"), 8192);
  Result<Statement> insert = db->prepare("INSERT INTO t VALUES(?,?,?,?)");
  ASSERT_TRUE(insert.is_ok());
  insert->bind_blob(1, {});
  insert->bind_text(2, {});
  insert->bind_double(3, 1.5);
  insert->bind_null(4);
  ASSERT_TRUE(insert->run().is_ok());
  insert->bind_blob(1, std::string_view("\0\xff\0", 3));
  ASSERT_TRUE(insert->run().is_ok());
  EXPECT_EQ(db->changes(), 1);

  Result<Statement> select = db->prepare("SELECT a,b,c,d FROM t ORDER BY rowid");
  ASSERT_TRUE(select.is_ok());
  ASSERT_TRUE(*select->step());
  EXPECT_FALSE(select->column_is_null(0));
  EXPECT_FALSE(select->column_is_null(1));
  EXPECT_TRUE(select->column_is_null(3));
  EXPECT_EQ(select->column_double(2), 1.5);
  ASSERT_TRUE(*select->step());
  EXPECT_EQ(select->column_blob(0), std::string_view("\0\xff\0", 3));
  EXPECT_FALSE(*select->step());
}

TEST_F(SqliteTest, TransactionThatIsNotCommittedLeavesNothing) {
  Result<Database> db = Database::open(path(), {});
  ASSERT_TRUE(db->exec("CREATE TABLE t(a)").is_ok());
  {
    Result<Transaction> transaction = Transaction::begin(*db);
    ASSERT_TRUE(transaction.is_ok());
    ASSERT_TRUE(db->exec("INSERT INTO t VALUES(1)").is_ok());
  }
  EXPECT_EQ(*db->query_int("SELECT count(*) FROM t"), 0);
  Result<Transaction> transaction = Transaction::begin(*db);
  ASSERT_TRUE(db->exec("INSERT INTO t VALUES(1)").is_ok());
  ASSERT_TRUE(transaction->commit().is_ok());
  EXPECT_EQ(*db->query_int("SELECT count(*) FROM t"), 1);
}

TEST_F(SqliteTest, LockHeldElsewhereIsUnavailable) {
  Result<Database> first = Database::open(path(), {});
  Result<Database> second = Database::open(path(), {.busy_timeout_ms = 1});
  ASSERT_TRUE(first->exec("CREATE TABLE t(a)").is_ok());
  Result<Transaction> held = Transaction::begin(*first);
  ASSERT_TRUE(held.is_ok());
  EXPECT_EQ(Transaction::begin(*second).status().code(), Code::kUnavailable);
}

TEST_F(SqliteTest, ManyOpenOneNewFileWithAWriteAheadLogAtOnce) {
  for (int round = 0; round < 50; ++round) {
    const std::string fresh = dir_ / ("new" + std::to_string(round));
    std::barrier start(4);
    std::vector<std::thread> openers;
    for (int i = 0; i < 4; ++i) {
      openers.emplace_back([&] {
        start.arrive_and_wait();
        Result<Database> db = Database::open(fresh, {.wal = true});
        ASSERT_TRUE(db.is_ok()) << db.status().to_string();
        const Status made = db->exec("CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES(1)");
        EXPECT_TRUE(made.is_ok()) << made.to_string();
      });
    }
    for (std::thread& opener : openers) opener.join();
    EXPECT_EQ(*Database::open(fresh, {.read_only = true})->query_int("SELECT count(*) FROM t"), 4);
  }
}

TEST_F(SqliteTest, StatementThatFailedCanBeUsedAgain) {
  Result<Database> db = Database::open(path(), {});
  ASSERT_TRUE(db->exec("CREATE TABLE t(a UNIQUE); INSERT INTO t VALUES(1)").is_ok());
  Result<Statement> insert = db->prepare("INSERT INTO t VALUES(?)");
  insert->bind_int(1, 1);
  EXPECT_EQ(insert->step().status().code(), Code::kInvalidArgument);
  insert->bind_int(1, 2);
  const Result<bool> again = insert->step();
  EXPECT_TRUE(again.is_ok()) << again.status().to_string();
}

TEST_F(SqliteTest, WrongParameterIndexShowsAtTheStep) {
  Result<Database> db = Database::open(path(), {});
  Result<Statement> statement = db->prepare("SELECT ?");
  statement->bind_int(2, 1);
  EXPECT_FALSE(statement->step().is_ok());
}

}  // namespace
}  // namespace ca4::sqlite
