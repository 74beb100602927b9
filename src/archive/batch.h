// How accepted documents lie in an archive: parts of a topic by the date and hour (UTC) of
// acceptance,
//
//   <topic>/dt=2026-11-23/hour=18/p<partition>-<first offset>-<last offset>-<events>.ndjson.zst
//   <topic>/dt=2026-11-23/hour=18/p<partition>-<first offset>-<last offset>-<events>.d<dim>.npy
//
// The offsets have 20 digits, so that names sort in log order; <events> is the beginning of a hash
// of the events' ids, versions and payloads.
// The first holds a document a line (store::to_json without the embedding), zstd-compressed, each
// with `embedding_file` (a name beside it) and `embedding_row`: the row of that matrix, one matrix
// a dimension. The folders' names are Hive's partitions, as pandas, DuckDB and Spark read them.
//
// A part is named after what is in it, and so never changes but for `processed_at`, whoever writes
// it and however often: a process that lost its partition to another, was held up, and finishes
// late can only write what is right, or the same again; and a topic or log that was begun anew,
// which gives its offsets out again, replaces nothing of the old one. What it costs: a batch that
// was archived but not committed may come again cut off at another end, and then rows are in two
// parts. The archive's view is therefore its rows by (topic, partition, offset, version); those
// that are there twice are equal.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "store/document_store.h"

namespace ca4::archive {

// What the key of a part's rows ends with.
inline constexpr std::string_view kRowsEnding = ".ndjson.zst";

// What the keys of all parts begin with that may hold the document:
// "topic/dt=2026-11-23/hour=18/p0-".
std::string part_prefix(const store::Document& document);

// Whether `key`, which begins with part_prefix(document), is that of rows between whose first and
// last offset the document's lies.
bool may_hold(std::string_view key, const store::Document& document);

struct Object {
  std::string key;
  std::string body;
  std::string content_type;
};

// The objects of a batch, in the order in which they must be put: a part's matrices before the rows
// that name them. The batch must hold all documents of each partition between its first and its
// last one, in any order, all with embeddings. kInvalidArgument when a topic can't be part of a
// key.
Result<std::vector<Object>> archive_objects(std::span<const store::Document> batch);

}  // namespace ca4::archive
