#include "store/embedded_store.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/folders.h"
#include "store/cosine.h"

namespace ca4::store {
namespace {

constexpr int kFileVersion = 1;  // PRAGMA user_version; a newer one may mean anything

// Measured on 100,000 documents of 2048 floats, two cores: a warm search of 4 KiB pages takes about
// 140 ms, of 8 KiB 70 ms, of 64 KiB 65 ms; but every batch of random ids rewrites hundreds of index
// pages, and with 64 KiB a page that is over 10 MB a batch of 256 at a million documents.
constexpr int kPageBytes = 8192;

// Checkpoints write each changed page once however often it changed, so rarer ones cost less in
// all; 4096 pages (32 MiB) keep one below about 100 ms and recovery after kill -9 as short.
constexpr const char* kPragmas = R"(
PRAGMA synchronous = FULL;
PRAGMA wal_autocheckpoint = 4096;
PRAGMA journal_size_limit = 67108864;
PRAGMA cache_size = -16384;
)";

// The JSON comes last: conditions on the columns before it never read it. Times are indexed because
// nearly every question is about the newest; rarer filters scan (1.5 KB a document).
constexpr const char* kSchema = R"(
CREATE TABLE IF NOT EXISTS docs(
  rowid INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  version INTEGER NOT NULL,
  ingested_at_us INTEGER NOT NULL,
  dim INTEGER NOT NULL,
  pipeline TEXT NOT NULL,
  model TEXT,
  gpu TEXT,
  device TEXT,
  doc TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS docs_by_time ON docs(ingested_at_us);
CREATE TABLE IF NOT EXISTS vectors(
  rowid INTEGER PRIMARY KEY,
  dim INTEGER NOT NULL,
  norm REAL NOT NULL,
  embedding BLOB NOT NULL);
)";

void bind_text_or_null(sqlite::Statement& statement, int index,
                       const std::optional<std::string>& text) {
  if (text) {
    statement.bind_text(index, *text);
  } else {
    statement.bind_null(index);
  }
}

Status check_version(sqlite::Database& db) {
  const Result<int64_t> version = db.query_int("PRAGMA user_version");
  if (!version) return version.status();
  if (*version <= kFileVersion) return Status::ok();
  return {Code::kConfig,
          fmt::format("{}: written by a newer CA4 (file version {}, this one knows {})", db.path(),
                      *version, kFileVersion)};
}

// Writes to a file that has no tables yet, and to no other: a store opens on a full disk too.
// The schema's last statement is the file's version, so a file that was cut off is done again.
Status ensure_schema(sqlite::Database& db) {
  const Result<int64_t> version = db.query_int("PRAGMA user_version");
  if (!version) return version.status();
  if (*version == kFileVersion) return Status::ok();
  Result<sqlite::Transaction> transaction = sqlite::Transaction::begin(db);
  if (!transaction) return transaction.status();
  for (const std::string& sql :
       {std::string(kSchema), fmt::format("PRAGMA user_version = {}", kFileVersion)}) {
    Status status = db.exec(sql);
    if (!status.is_ok()) return status;
  }
  return transaction->commit();
}

}  // namespace

struct EmbeddedStore::Writer {
  sqlite::Database db;
  sqlite::Statement find;
  sqlite::Statement put_doc;
  sqlite::Statement put_vector;
  sqlite::Statement remove_doc;
  sqlite::Statement remove_vector;

  static Result<std::unique_ptr<Writer>> open(const std::string& file);
  Result<UpsertResult> upsert(const Document& document);
  // Writes both rows, over those of `row` where there is one.
  Status put(const Document& document, const std::string& json, std::optional<int64_t> row);
  Status remove(std::string_view metadata_id);
};

Result<std::unique_ptr<EmbeddedStore::Writer>> EmbeddedStore::Writer::open(
    const std::string& file) {
  Result<sqlite::Database> db =
      sqlite::Database::open(file, {.page_size_bytes = kPageBytes, .wal = true});
  if (!db) return db.status();
  for (const Status& status : {db->exec(kPragmas), check_version(*db)}) {
    if (!status.is_ok()) return status;
  }
  if (Status status = ensure_schema(*db); !status.is_ok()) return status;

  Result<sqlite::Statement> find = db->prepare("SELECT rowid, version FROM docs WHERE id = ?1");
  if (!find) return find.status();
  Result<sqlite::Statement> put_doc = db->prepare(
      "INSERT INTO docs(rowid, id, version, ingested_at_us, dim, pipeline, model, gpu, device, doc)"
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT(rowid) DO UPDATE SET"
      " version = ?3, ingested_at_us = ?4, dim = ?5, pipeline = ?6, model = ?7, gpu = ?8,"
      " device = ?9, doc = ?10");
  if (!put_doc) return put_doc.status();
  Result<sqlite::Statement> put_vector = db->prepare(
      "INSERT INTO vectors(rowid, dim, norm, embedding) VALUES (?1, ?2, ?3, ?4)"
      " ON CONFLICT(rowid) DO UPDATE SET dim = ?2, norm = ?3, embedding = ?4");
  if (!put_vector) return put_vector.status();
  Result<sqlite::Statement> remove_doc = db->prepare("DELETE FROM docs WHERE rowid = ?1");
  if (!remove_doc) return remove_doc.status();
  Result<sqlite::Statement> remove_vector = db->prepare("DELETE FROM vectors WHERE rowid = ?1");
  if (!remove_vector) return remove_vector.status();
  return std::unique_ptr<Writer>(new Writer{std::move(*db), std::move(*find), std::move(*put_doc),
                                            std::move(*put_vector), std::move(*remove_doc),
                                            std::move(*remove_vector)});
}

// Versions are compared here and not in SQL, whose integers are signed.
Result<UpsertResult> EmbeddedStore::Writer::upsert(const Document& document) {
  const std::string json = to_json(document, false);
  std::string reason = unstorable_reason(document, json);
  if (!reason.empty()) return UpsertResult{Outcome::kDeadLetter, std::move(reason)};

  find.bind_text(1, document.metadata_id);
  const Result<bool> known = find.step();
  if (!known) return known.status();
  std::optional<int64_t> row;
  if (*known) row = find.column_int(0);
  const auto version = row ? static_cast<uint64_t>(find.column_int(1)) : uint64_t{0};
  find.reset();
  if (row && version == document.version) return UpsertResult{Outcome::kUnchanged, {}};
  if (row && version > document.version) return UpsertResult{Outcome::kStale, {}};
  if (Status status = put(document, json, row); !status.is_ok()) return status;
  return UpsertResult{row ? Outcome::kUpdated : Outcome::kInserted, {}};
}

Status EmbeddedStore::Writer::put(const Document& document, const std::string& json,
                                  std::optional<int64_t> row) {
  const auto dim = static_cast<int64_t>(document.embedding.size());
  if (row) {
    put_doc.bind_int(1, *row);
  } else {
    put_doc.bind_null(1);  // the next free one
  }
  put_doc.bind_text(2, document.metadata_id);
  put_doc.bind_int(3, static_cast<int64_t>(document.version));
  put_doc.bind_int(4, document.ingested_at_us);
  put_doc.bind_int(5, dim);
  put_doc.bind_text(6, document.pipeline);
  bind_text_or_null(put_doc, 7, document.model_name);
  bind_text_or_null(put_doc, 8, document.gpu.name);
  bind_text_or_null(put_doc, 9, document.gpu.device);
  put_doc.bind_text(10, json);
  if (Status status = put_doc.run(); !status.is_ok()) return status;

  put_vector.bind_int(1, row ? *row : db.last_insert_rowid());
  put_vector.bind_int(2, dim);
  put_vector.bind_double(3, l2_norm(document.embedding));
  put_vector.bind_blob(4, as_bytes(document.embedding));
  return put_vector.run();
}

Status EmbeddedStore::Writer::remove(std::string_view metadata_id) {
  find.bind_text(1, metadata_id);
  const Result<bool> known = find.step();
  if (!known) return known.status();
  const int64_t row = *known ? find.column_int(0) : 0;
  find.reset();
  if (!*known) return Status::ok();
  for (sqlite::Statement* statement : {&remove_doc, &remove_vector}) {
    statement->bind_int(1, row);
    if (Status status = statement->run(); !status.is_ok()) return status;
  }
  return Status::ok();
}

EmbeddedStore::EmbeddedStore(const EmbeddedStoreOptions& options, const std::string& file)
    : similar_threads_(options.similar_threads), readers_(file) {}

EmbeddedStore::~EmbeddedStore() = default;

Result<std::unique_ptr<EmbeddedStore>> EmbeddedStore::open(const EmbeddedStoreOptions& options) {
  const std::string file = (std::filesystem::path(options.dir) / options.file_name).string();
  std::error_code error;
  const bool is_there = std::filesystem::exists(file, error);
  if (options.read_only && error) {
    const bool denied = error == std::errc::permission_denied;
    return Status(Code::kIo,
                  fmt::format("{}: {}{}", file, error.message(),
                              denied ? "; run this as the user that the data belongs to" : ""));
  }
  if (options.read_only && !is_there) {
    return Status(
        Code::kNotFound,
        fmt::format("{}: no document store here ({} is missing); give the data folder,"
                    " database and collection that `ca4 up` or `ca4 work` was started with",
                    options.dir, options.file_name));
  }
  std::unique_ptr<EmbeddedStore> store(new EmbeddedStore(options, file));
  if (!options.read_only) {
    if (Status made = make_durable_folders(options.dir); !made.is_ok()) return made;
    if (Status status = store->open_writer(file); !status.is_ok()) return status;
  }
  if (Status status = store->check_readable(); !status.is_ok()) return status;
  return store;
}

Status EmbeddedStore::open_writer(const std::string& file) {
  Result<std::unique_ptr<Writer>> writer = Writer::open(file);
  if (writer) writer_ = std::move(*writer);
  return writer.status();
}

Status EmbeddedStore::check_readable() {
  Result<ReaderPool::Lease> lease = readers_.take();
  if (!lease) return lease.status();
  if (Status status = check_version(lease->db()); !status.is_ok()) return status;
  return lease->db().query_int("SELECT count(*) FROM docs WHERE rowid = 0").status();
}

Result<std::vector<UpsertResult>> EmbeddedStore::upsert(std::span<const Document> batch) {
  const std::lock_guard lock(write_mutex_);
  if (writer_ == nullptr) return Status(Code::kInternal, "upsert into a store opened read-only");
  Result<sqlite::Transaction> transaction = sqlite::Transaction::begin(writer_->db);
  if (!transaction) return transaction.status();
  std::vector<UpsertResult> results;
  results.reserve(batch.size());
  for (const Document& document : batch) {
    Result<UpsertResult> result = writer_->upsert(document);
    if (!result) return result.status();
    results.push_back(std::move(*result));
  }
  if (Status status = transaction->commit(); !status.is_ok()) return status;
  return results;
}

Status EmbeddedStore::remove(std::string_view metadata_id) {
  const std::lock_guard lock(write_mutex_);
  if (writer_ == nullptr) return {Code::kInternal, "remove from a store opened read-only"};
  Result<sqlite::Transaction> transaction = sqlite::Transaction::begin(writer_->db);
  if (!transaction) return transaction.status();
  if (Status status = writer_->remove(metadata_id); !status.is_ok()) return status;
  return transaction->commit();
}

}  // namespace ca4::store
