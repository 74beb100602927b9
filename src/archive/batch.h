// How accepted documents lie in an archive: parts of a topic by the date and hour (UTC) of
// acceptance,
//
//   <topic>/dt=2026-11-23/hour=18/p<partition>-<first offset, 20 digits>.ndjson.zst
//   <topic>/dt=2026-11-23/hour=18/p<partition>-<first offset, 20 digits>.d<dim>.npy
//
// The first holds a document a line (store::to_json without the embedding), zstd-compressed, each
// with `embedding_file` (a name beside it) and `embedding_row`: the row of that matrix, one matrix
// a dimension. The folders' names are Hive's partitions, as pandas, DuckDB and Spark read them.
//
// A part is named after the first offset in it, because that is what redelivery keeps: a batch that
// was archived but not committed comes again from the committed offset on, perhaps cut off at
// another end. Whatever the cut, the first record of a partition and hour since the committed
// offset is first in its part again, so the part made again replaces the one made before, and what
// it now leaves out comes in a part of its own. Nothing is twice in the archive once the last of
// them is committed. Only a matrix whose dimension no longer occurs in its part may stay behind,
// unused.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "store/document_store.h"

namespace ca4::archive {

struct Object {
  std::string key;
  std::string body;
  std::string content_type;
};

// The objects of a batch, in the order in which they must be put: a part's matrices before the rows
// that name them. The batch must hold each partition's documents since the last committed offset,
// in any order, all with embeddings. kInvalidArgument when a topic can't be part of a key.
Result<std::vector<Object>> archive_objects(std::span<const store::Document> batch);

}  // namespace ca4::archive
