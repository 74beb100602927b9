#include "archive/batch.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <map>
#include <memory>

#include "archive/key.h"
#include "archive/npy.h"
#include "base/clock.h"
#include "base/digest.h"
#include "store/cosine.h"

namespace ca4::archive {
namespace {

using store::Document;

// zstd's own default: five times smaller at more than 100 MB/s a core.
constexpr int kCompressionLevel = 3;

using Part = std::vector<const Document*>;  // in offset order

// Where a part's objects lie: "topic/dt=…/hour=…/" and "p0-00000000000000000017-…".
struct PartName {
  std::string folder;
  std::string stem;
};

// Two parts between the same offsets are of two topics, one made after the other was deleted: there
// are few, so 32 bits tell them apart.
constexpr size_t kEventsDigits = 8;

std::string digest_of_events(const Part& part) {
  Sha256 hash;
  for (const Document* document : part) {
    hash.add(fmt::format("{} {} {}\n", document->metadata_id, document->version,
                         document->payload_hash));
  }
  return hash.hex().substr(0, kEventsDigits);
}

// Of fixed length, so that names sort in log order.
std::string digits_of(int64_t offset) {
  return fmt::format("{:020}", offset);
}

PartName name_of(const std::string& prefix, const Part& part) {
  const size_t stem = prefix.rfind('/') + 1;
  return {prefix.substr(0, stem),
          fmt::format("{}{}-{}-{}", prefix.substr(stem), digits_of(part.front()->offset),
                      digits_of(part.back()->offset), digest_of_events(part))};
}

Result<std::string> compress(std::string_view text) {
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                     &ZSTD_freeCCtx);
  if (context == nullptr) return Status(Code::kInternal, "zstd: out of memory");
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kCompressionLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string out(ZSTD_compressBound(text.size()), '\0');
  const size_t size =
      ZSTD_compress2(context.get(), out.data(), out.size(), text.data(), text.size());
  if (ZSTD_isError(size) != 0U) {
    return Status(Code::kInternal, fmt::format("zstd: {}", ZSTD_getErrorName(size)));
  }
  out.resize(size);
  return out;
}

// One document as a line, with the place of its embedding.
void append_row(const Document& document, std::string_view embedding_file, size_t embedding_row,
                std::string& rows) {
  std::string json = store::to_json(document, false);
  json.pop_back();
  fmt::format_to(std::back_inserter(rows), "{},\"embedding_file\":\"{}\",\"embedding_row\":{}}}\n",
                 json, embedding_file, embedding_row);
}

// The part's matrices into `objects`, then its rows.
Status add_part(const PartName& name, const Part& part, std::vector<Object>& objects) {
  std::map<size_t, Part> by_dim;
  for (const Document* document : part) by_dim[document->embedding.size()].push_back(document);
  std::map<const Document*, std::pair<std::string, size_t>> places;
  for (const auto& [dim, documents] : by_dim) {
    const std::string file = fmt::format("{}.d{}.npy", name.stem, dim);
    std::string body = npy_header(documents.size(), dim);
    body.reserve(body.size() + documents.size() * dim * sizeof(float));
    for (size_t row = 0; row < documents.size(); ++row) {
      body += store::as_bytes(documents[row]->embedding);
      places[documents[row]] = {file, row};
    }
    objects.push_back({name.folder + file, std::move(body), "application/octet-stream"});
  }
  std::string rows;
  for (const Document* document : part) {
    const auto& [file, row] = places[document];
    append_row(*document, file, row, rows);
  }
  Result<std::string> compressed = compress(rows);
  if (!compressed) return compressed.status();
  objects.push_back({fmt::format("{}{}{}", name.folder, name.stem, kRowsEnding),
                     std::move(*compressed), "application/zstd"});
  return check_key(objects.back().key);
}

}  // namespace

std::string part_prefix(const Document& document) {
  const std::string time = format_rfc3339(document.ingested_at_us);
  return fmt::format("{}/dt={}/hour={}/p{}-", document.topic, time.substr(0, 10),
                     time.substr(11, 2), document.partition);
}

bool may_hold(std::string_view key, const Document& document) {
  const std::string own = digits_of(document.offset);
  const std::string_view offsets = key.substr(part_prefix(document).size());
  return offsets.ends_with(kRowsEnding) && offsets.size() > 2 * own.size() &&
         offsets.substr(0, own.size()) <= own && own <= offsets.substr(own.size() + 1, own.size());
}

Result<std::vector<Object>> archive_objects(std::span<const Document> batch) {
  std::map<std::string, Part> parts;  // by part_prefix
  for (const Document& document : batch) parts[part_prefix(document)].push_back(&document);
  std::vector<Object> objects;
  for (auto& [prefix, part] : parts) {
    std::ranges::sort(part, {}, &Document::offset);
    Status status = add_part(name_of(prefix, part), part, objects);
    if (!status.is_ok()) return status;
  }
  return objects;
}

}  // namespace ca4::archive
