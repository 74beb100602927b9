#include "archive/part.h"

#include <fmt/format.h>
#include <simdjson.h>
#include <zstd.h>

#include <cstring>
#include <map>

#include "archive/npy.h"

namespace ca4::archive {
namespace {

using store::Document;

constexpr size_t kRowsBytesMax = size_t{1} << 30U;

Result<std::string> decompress(std::string_view bytes) {
  const unsigned long long size = ZSTD_getFrameContentSize(bytes.data(), bytes.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN) {
    return Status(Code::kCorruption, "rows: not a zstd frame of known size");
  }
  if (size > kRowsBytesMax) return Status(Code::kTooLarge, fmt::format("rows: {} bytes", size));
  std::string text(size, '\0');
  const size_t got = ZSTD_decompress(text.data(), text.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(got) != 0U) {
    return Status(Code::kCorruption, fmt::format("rows: {}", ZSTD_getErrorName(got)));
  }
  return text;
}

struct EmbeddingPlace {
  std::string file;
  uint64_t row = 0;
};

Result<EmbeddingPlace> place_of(std::string_view json) {
  simdjson::ondemand::parser parser;
  const simdjson::padded_string padded(json);
  try {
    simdjson::ondemand::document parsed = parser.iterate(padded);
    EmbeddingPlace place;
    place.file = std::string(parsed["embedding_file"].get_string().value());
    place.row = parsed["embedding_row"].get_uint64().value();
    return place;
  } catch (const simdjson::simdjson_error& error) {
    return Status(Code::kCorruption, fmt::format("row without its embedding's place: {}",
                                                 simdjson::error_message(error.error())));
  }
}

// The matrices of one part, read when first asked for.
class Matrices {
 public:
  Matrices(Archive& archive, std::string_view folder) : archive_(archive), folder_(folder) {}

  Status read(const EmbeddingPlace& place, std::vector<float>& embedding) {
    auto file = files_.find(place.file);
    if (file == files_.end()) {
      Result<std::string> body = archive_.get(folder_ + place.file);
      if (!body) return body.status();
      file = files_.emplace(place.file, std::move(*body)).first;
    }
    const Result<NpyMatrix> matrix = read_npy(file->second);
    if (!matrix) return matrix.status();
    if (place.row >= matrix->rows) {
      return {Code::kCorruption, fmt::format("{}: no row {}", place.file, place.row)};
    }
    embedding.resize(matrix->dim);
    std::memcpy(embedding.data(), matrix->row(place.row).data(), matrix->dim * sizeof(float));
    return Status::ok();
  }

 private:
  Archive& archive_;
  const std::string folder_;
  std::map<std::string, std::string> files_;
};

Status read_row(std::string_view json, Matrices& matrices, Document& document) {
  Result<Document> read = store::from_json(json);
  if (!read) return read.status();
  document = std::move(*read);
  const Result<EmbeddingPlace> place = place_of(json);
  if (!place) return place.status();
  Status status = matrices.read(*place, document.embedding);
  if (!status.is_ok() || document.embedding.size() == document.embedding_dim) return status;
  return {Code::kCorruption, fmt::format("'{}': {} floats archived of {}", document.metadata_id,
                                         document.embedding.size(), document.embedding_dim)};
}

}  // namespace

Result<std::vector<Document>> read_part(Archive& archive, std::string_view key) {
  const Result<std::string> compressed = archive.get(key);
  if (!compressed) return compressed.status();
  const Result<std::string> rows = decompress(*compressed);
  if (!rows) return rows.status();
  Matrices matrices(archive, key.substr(0, key.rfind('/') + 1));
  std::vector<Document> documents;
  for (std::string_view rest = *rows; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const Status status = read_row(rest.substr(0, end), matrices, documents.emplace_back());
    if (!status.is_ok()) {
      return Status(status.code(),
                    fmt::format("{}:{}: {}", key, documents.size(), status.message()));
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return documents;
}

}  // namespace ca4::archive
