// Documents back out of an archive.
#pragma once

#include <string_view>
#include <vector>

#include "archive/archive.h"
#include "store/document_store.h"

namespace ca4::archive {

// The documents of one part with their embeddings, in the order they were archived. `key` is that
// of its rows (…ndjson.zst). kNotFound when an object is missing, kCorruption when rows and
// matrices do not fit together, kTooLarge when the rows inflate to more than 1 GiB.
Result<std::vector<store::Document>> read_part(Archive& archive, std::string_view key);

}  // namespace ca4::archive
