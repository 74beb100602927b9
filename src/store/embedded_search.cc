// What the embedded store reads: find, count, similar.
#include <fmt/format.h>

#include <cmath>
#include <system_error>
#include <thread>
#include <variant>

#include "store/cosine.h"
#include "store/embedded_store.h"
#include "store/ranking.h"

namespace ca4::store {
namespace {

// A filter as SQL over the table alias d, with what its parameters are bound to.
struct Where {
  std::string sql = "1";
  std::vector<std::variant<int64_t, std::string>> values;

  void add(std::string_view condition, std::variant<int64_t, std::string> value) {
    fmt::format_to(std::back_inserter(sql), " AND {}", condition);
    values.push_back(std::move(value));
  }
  // Parameters count on from `index`. They must live as long as the statement runs.
  void bind(sqlite::Statement& statement, int index) const {
    for (const auto& value : values) {
      if (const auto* number = std::get_if<int64_t>(&value)) {
        statement.bind_int(index++, *number);
      } else {
        statement.bind_text(index++, std::get<std::string>(value));
      }
    }
  }
};

Where where_of(const Filter& filter) {
  Where where;
  if (filter.metadata_id) where.add("d.id = ?", *filter.metadata_id);
  if (filter.from_us) where.add("d.ingested_at_us >= ?", *filter.from_us);
  if (filter.until_us) where.add("d.ingested_at_us < ?", *filter.until_us);
  if (filter.pipeline) where.add("d.pipeline = ?", *filter.pipeline);
  if (filter.model) where.add("d.model = ?", *filter.model);
  if (filter.device) {
    // lower() folds ASCII only, as fold_case does.
    where.add("(instr(lower(d.gpu), ?) > 0", fold_case(*filter.device));
    where.sql += " OR instr(lower(d.device), ?) > 0)";
    where.values.emplace_back(fold_case(*filter.device));
  }
  return where;
}

// Reads the document of a row `doc, dim, embedding`; the last may be missing from the statement.
Result<Document> read_row(const sqlite::Statement& statement, const std::string& path,
                          bool with_embedding) {
  Result<Document> document = from_json(statement.column_text(0));
  if (!document) {
    return Status(document.status().code(),
                  fmt::format("{}: {}", path, document.status().message()));
  }
  document->embedding_dim = static_cast<size_t>(statement.column_int(1));
  if (!with_embedding) return document;
  const std::string_view bytes = statement.column_blob(2);
  if (bytes.size() != document->embedding_dim * sizeof(float)) {
    return Status(Code::kCorruption, fmt::format("{}: embedding of '{}': {} bytes instead of {}",
                                                 path, document->metadata_id, bytes.size(),
                                                 document->embedding_dim * sizeof(float)));
  }
  document->embedding.resize(document->embedding_dim);
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(document->embedding.data()));
  return document;
}

// The rows that are wanted, in the order in which they are.
Result<std::vector<int64_t>> rows_of(sqlite::Database& db, const Where& where,
                                     const FindOptions& options) {
  const char* const direction = options.newest_first ? "DESC" : "ASC";
  Result<sqlite::Statement> statement = db.prepare(
      fmt::format("SELECT d.rowid FROM docs d WHERE {} ORDER BY d.ingested_at_us {}, d.rowid {}"
                  " LIMIT ?",
                  where.sql, direction, direction));
  if (!statement) return statement.status();
  where.bind(*statement, 1);
  constexpr int64_t kNoLimit = -1;
  statement->bind_int(static_cast<int>(where.values.size()) + 1,
                      options.limit == 0 ? kNoLimit : static_cast<int64_t>(options.limit));
  std::vector<int64_t> rows;
  for (;;) {
    const Result<bool> row = statement->step();
    if (!row) return row.status();
    if (!*row) return rows;
    rows.push_back(statement->column_int(0));
  }
}

struct RowRange {
  int64_t first = 0;
  int64_t last = 0;  // inclusive
};

struct Search {
  std::span<const float> query;
  double query_norm = 0;
  Where where;
};

// Offers every embedding of the range to `best`.
Status scan(ReaderPool& readers, const Search& search, RowRange range, TopK& best) {
  Result<ReaderPool::Lease> lease = readers.take();
  if (!lease) return lease.status();
  const std::string_view sql =
      search.where.values.empty()
          ? "SELECT v.rowid, v.norm, v.embedding FROM vectors v"
            " WHERE v.rowid BETWEEN ? AND ? AND v.dim = ?"
          : "SELECT v.rowid, v.norm, v.embedding FROM docs d CROSS JOIN vectors v"
            " ON v.rowid = d.rowid WHERE d.rowid BETWEEN ? AND ? AND v.dim = ? AND ";
  Result<sqlite::Statement> statement = lease->db().prepare(
      search.where.values.empty() ? std::string(sql) : std::string(sql) + search.where.sql);
  if (!statement) return statement.status();
  statement->bind_int(1, range.first);
  statement->bind_int(2, range.last);
  statement->bind_int(3, static_cast<int64_t>(search.query.size()));
  search.where.bind(*statement, 4);
  for (;;) {
    const Result<bool> row = statement->step();
    if (!row) return row.status();
    if (!*row) return Status::ok();
    const double norm = statement->column_double(1);
    const std::string_view bytes = statement->column_blob(2);
    if (!has_direction(norm) || bytes.size() != search.query.size_bytes()) continue;
    best.offer(cosine(bytes, norm, search.query, search.query_norm), statement->column_int(0));
  }
}

// `rows` split evenly over threads; this thread takes the first part.
Status scan_all(ReaderPool& readers, const Search& search, int64_t rows, unsigned threads,
                TopK& best) {
  // Below this a thread costs more than it saves (a row of 2048 floats takes about 1.5 µs).
  constexpr int64_t kRowsAThreadMin = 1000;
  const int64_t parts = std::clamp<int64_t>(rows / kRowsAThreadMin, 1, std::max(threads, 1U));
  std::vector<TopK> bests(static_cast<size_t>(parts), best);
  std::vector<Status> statuses(static_cast<size_t>(parts));
  const auto run = [&](int64_t part) {
    const RowRange range{rows * part / parts + 1, rows * (part + 1) / parts};
    const auto index = static_cast<size_t>(part);
    statuses[index] = scan(readers, search, range, bests[index]);
  };
  {
    std::vector<std::jthread> workers;
    for (int64_t part = 1; part < parts; ++part) {
      try {
        workers.emplace_back(run, part);
      } catch (const std::system_error&) {  // no more threads: slower, not wrong
        run(part);
      }
    }
    run(0);
  }
  for (size_t part = 0; part < bests.size(); ++part) {
    if (!statuses[part].is_ok()) return statuses[part];
    best.merge(bests[part]);
  }
  return Status::ok();
}

}  // namespace

// A statement that is under way keeps the write-ahead log from beginning anew, and whoever is shown
// documents may take for ever (`| less`). So first it is found out which rows they are, and each
// is read when its turn comes.
Status EmbeddedStore::find(const Filter& filter, const FindOptions& options, const Visit& visit) {
  Result<ReaderPool::Lease> lease = readers_.take();
  if (!lease) return lease.status();
  const Where where = where_of(filter);
  const Result<std::vector<int64_t>> rows = rows_of(lease->db(), where, options);
  if (!rows) return rows.status();
  Result<sqlite::Statement> statement = lease->db().prepare(fmt::format(
      "SELECT d.doc, d.dim{} WHERE d.rowid = ? AND {}",
      options.with_embedding ? ", v.embedding FROM docs d JOIN vectors v ON v.rowid = d.rowid"
                             : " FROM docs d",
      where.sql));
  if (!statement) return statement.status();
  for (const int64_t row : *rows) {
    statement->bind_int(1, row);
    where.bind(*statement, 2);
    const Result<bool> there = statement->step();
    if (!there) return there.status();
    Result<Document> document = Document();
    if (*there) document = read_row(*statement, lease->db().path(), options.with_embedding);
    statement->reset();
    if (!document) return document.status();
    if (*there && !visit(*document)) return Status::ok();
  }
  return Status::ok();
}

Result<uint64_t> EmbeddedStore::count(const Filter& filter) {
  Result<ReaderPool::Lease> lease = readers_.take();
  if (!lease) return lease.status();
  const Where where = where_of(filter);
  Result<sqlite::Statement> statement = lease->db().prepare(
      where.values.empty() ? "SELECT count(*) FROM docs"
                           : fmt::format("SELECT count(*) FROM docs d WHERE {}", where.sql));
  if (!statement) return statement.status();
  where.bind(*statement, 1);
  const Result<bool> row = statement->step();
  if (!row) return row.status();
  return static_cast<uint64_t>(statement->column_int(0));
}

Result<std::vector<Neighbour>> EmbeddedStore::similar(std::span<const float> query, size_t k,
                                                      const Filter& filter) {
  if (Status bad = check_query(query); !bad.is_ok()) return bad;
  const Search search{query, l2_norm(query), where_of(filter)};
  Result<ReaderPool::Lease> lease = readers_.take();
  if (!lease) return lease.status();
  const Result<int64_t> rows = lease->db().query_int("SELECT coalesce(max(rowid), 0) FROM vectors");
  if (!rows) return rows.status();
  TopK best(k);
  Status scanned = scan_all(readers_, search, *rows, similar_threads_, best);
  if (!scanned.is_ok()) return scanned;

  Result<sqlite::Statement> statement =
      lease->db().prepare("SELECT doc, dim FROM docs WHERE rowid = ?");
  if (!statement) return statement.status();
  std::vector<Neighbour> neighbours;
  for (const Ranked& ranked : best.take()) {
    statement->reset();
    statement->bind_int(1, ranked.row);
    const Result<bool> row = statement->step();
    if (!row) return row.status();
    if (!*row) continue;
    Result<Document> document = read_row(*statement, lease->db().path(), false);
    if (!document) return document.status();
    neighbours.push_back({std::move(*document), ranked.cosine});
  }
  return neighbours;
}

Status EmbeddedStore::ping() {
  return check_readable();
}

}  // namespace ca4::store
