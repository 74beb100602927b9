#include "page/search.h"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "http/parameters.h"
#include "http/problem.h"
#include "page/media.h"

namespace ca4::page {
namespace {

constexpr size_t kDocumentsDefault = 20;  // a screen
constexpr size_t kDocumentsMax = 200;     // about 200 KiB of JSON
// Of one in a list: it may have 64 MiB, and a page asks for 20 of them every 3 s.
constexpr size_t kListedBytesMax = size_t{64} << 10U;
constexpr size_t kListedTextBytesMax = 1024;  // the longest that such a one keeps
constexpr size_t kNeighboursDefault = 12;
constexpr size_t kNeighboursMax = 100;
constexpr int kRetryAfterS = 2;

http::Response bad_parameter(const http::ParameterError& error) {
  return http::problem(400, fmt::format("parameter '{}' {}", error.name, error.reason), error.name);
}

http::Response failure(const Status& status) {
  switch (status.code()) {
    case Code::kInvalidArgument:
      return http::problem(400, status.message());
    case Code::kTooLarge:
      return http::problem(413, status.message());
    case Code::kNotFound:
      return http::problem(404, status.message());
    case Code::kOverloaded:
    case Code::kUnavailable:
    case Code::kIo:
    case Code::kCancelled:
      return http::problem_retry(503, status.message(), kRetryAfterS);
    default:
      return http::problem(500, status.message());
  }
}

http::Response json(std::string body) {
  http::Response response;
  response.body = std::move(body);
  return response;
}

http::Response no_store() {
  return http::problem(501, "the document store is not in this process");
}

// The document; kNotFound when there is none.
Result<store::Document> document_by_id(store::DocumentStore& store, const std::string& id,
                                       bool with_embedding) {
  std::optional<store::Document> found;
  const Status status =
      store.find({.metadata_id = id}, {.limit = 1, .with_embedding = with_embedding},
                 [&](const store::Document& document) {
                   found = document;
                   return false;
                 });
  if (!status.is_ok()) return status;
  if (!found) return Status(Code::kNotFound, fmt::format("no document has the id '{}'", id));
  return std::move(*found);
}

bool shows_media(const PageParts& parts, const store::Document& document) {
  return document.source_uri && has_media(*document.source_uri, parts.media_root);
}

std::optional<std::string> short_text(const std::optional<std::string>& text) {
  return text && text->size() <= kListedTextBytesMax ? text : std::nullopt;
}

struct Listed {
  std::string json;
  bool cut = false;
};

// The document, or of a large one what a list needs.
Listed listed(const store::Document& document) {
  std::string whole = store::to_json(document, false);
  if (whole.size() <= kListedBytesMax) return {std::move(whole)};
  store::Document head;
  head.metadata_id = document.metadata_id;
  head.version = document.version;
  head.source_uri = short_text(document.source_uri);
  head.model_name = short_text(document.model_name);
  head.pipeline = short_text(document.pipeline).value_or("");
  head.gpu.name = short_text(document.gpu.name);
  head.gpu.device = short_text(document.gpu.device);
  head.embedding_dim = document.embedding_dim;
  head.l2_norm = document.l2_norm;
  head.payload_hash = document.payload_hash;
  head.ingested_at_us = document.ingested_at_us;
  head.processed_at_us = document.processed_at_us;
  head.topic = document.topic;
  head.partition = document.partition;
  head.offset = document.offset;
  return {store::to_json(head, false), true};
}

http::Response neighbours(const PageParts& parts, const std::vector<float>& embedding, size_t k) {
  const auto found = parts.store->similar(embedding, k, {});
  if (!found) return failure(found.status());
  std::string out = R"({"neighbours":[)";
  std::string_view comma;
  for (const store::Neighbour& neighbour : found.value()) {
    const Listed shown = listed(neighbour.document);
    fmt::format_to(std::back_inserter(out),
                   R"({}{{"cosine":{:.6f},"media":{},"cut":{},"document":{}}})", comma,
                   neighbour.cosine, shows_media(parts, neighbour.document), shown.cut, shown.json);
    comma = ",";
  }
  return json(out + "]}");
}

}  // namespace

http::Response documents_answer(const PageParts& parts, const http::Request& request) {
  constexpr std::array<std::string_view, 5> kAllowed = {"limit", "id", "pipeline", "device",
                                                        "model"};
  http::Parameters given;
  size_t limit = kDocumentsDefault;
  if (const auto error = http::Parameters::parse(request.query, kAllowed, given)) {
    return bad_parameter(*error);
  }
  if (const auto error = given.number("limit", 1, kDocumentsMax, limit)) {
    return bad_parameter(*error);
  }
  if (parts.store == nullptr) return json(R"({"documents":null,"media":[],"cut":[]})");
  const store::Filter filter = {.metadata_id = given.text("id"),
                                .pipeline = given.text("pipeline"),
                                .device = given.text("device"),
                                .model = given.text("model")};
  std::string out = R"({"documents":[)";
  std::string media;
  std::string cut;
  const auto note = [](std::string& ids, const store::Document& document) {
    ids.append(ids.empty() ? "" : ",").append(http::json_string(document.metadata_id));
  };
  const Status status =
      parts.store->find(filter, {.limit = limit}, [&](const store::Document& document) {
        const Listed shown =
            filter.metadata_id ? Listed{store::to_json(document, false)} : listed(document);
        out.append(out.ends_with('[') ? "" : ",").append(shown.json);
        if (shows_media(parts, document)) note(media, document);
        if (shown.cut) note(cut, document);
        return true;
      });
  if (!status.is_ok()) return failure(status);
  return json(fmt::format(R"({}],"media":[{}],"cut":[{}]}})", out, media, cut));
}

http::Response similar_to_document(const PageParts& parts, const http::Request& request) {
  constexpr std::array<std::string_view, 2> kAllowed = {"id", "k"};
  http::Parameters given;
  size_t k = kNeighboursDefault;
  if (const auto error = http::Parameters::parse(request.query, kAllowed, given)) {
    return bad_parameter(*error);
  }
  if (const auto error = given.number("k", 1, kNeighboursMax, k)) return bad_parameter(*error);
  const std::optional<std::string> id = given.text("id");
  if (!id) return bad_parameter({"id", "is missing; to search by an image, POST its bytes"});
  if (parts.store == nullptr) return no_store();
  const auto document = document_by_id(*parts.store, *id, true);
  if (!document) return failure(document.status());
  return neighbours(parts, document.value().embedding, k);
}

http::Response similar_to_image(const PageParts& parts, const http::Request& request) {
  constexpr std::array<std::string_view, 1> kAllowed = {"k"};
  http::Parameters given;
  size_t k = kNeighboursDefault;
  if (const auto error = http::Parameters::parse(request.query, kAllowed, given)) {
    return bad_parameter(*error);
  }
  if (const auto error = given.number("k", 1, kNeighboursMax, k)) return bad_parameter(*error);
  if (parts.store == nullptr) return no_store();
  if (!parts.embed) {
    return http::problem(501, "this process has no model for images; start it with --model");
  }
  if (request.body_bytes == 0) return http::problem(400, "the body must be an image, it is empty");
  const auto embedding = parts.embed(request.body());
  if (!embedding) return failure(embedding.status());
  return neighbours(parts, embedding.value(), k);
}

http::Response media_answer(const PageParts& parts, const http::Request& request) {
  constexpr std::array<std::string_view, 1> kAllowed = {"id"};
  http::Parameters given;
  if (const auto error = http::Parameters::parse(request.query, kAllowed, given)) {
    return bad_parameter(*error);
  }
  const std::optional<std::string> id = given.text("id");
  if (!id) return bad_parameter({"id", "is missing"});
  if (parts.store == nullptr) return http::problem(404, "no image to show for this document");
  const auto document = document_by_id(*parts.store, *id, false);
  if (!document) return failure(document.status());
  auto media = load_media(document.value().source_uri.value_or(""), parts.media_root);
  if (!media) return failure(media.status());
  http::Response response;
  response.content_type = media->content_type;
  response.headers = {{"Content-Security-Policy", "default-src 'none'"},
                      {"Cache-Control", "private, max-age=300"}};
  response.body = std::move(media->bytes);
  return response;
}

}  // namespace ca4::page
