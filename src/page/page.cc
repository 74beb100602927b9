#include "page/page.h"

#include <algorithm>
#include <utility>

#include "http/job_pool.h"
#include "http/problem.h"
#include "page/assets.h"
#include "page/search.h"
#include "page/stats.h"

namespace ca4::page {
namespace {

// Two: a long search leaves the figures going. More would take cores from the pipeline itself.
constexpr size_t kThreads = 2;
// A page has at most eight requests under way; beyond eight pages' worth the answers would be old.
constexpr size_t kQueueMax = 64;

// No script, style or picture from elsewhere or from within the page's text; blob: and data: are
// images that the page's own script got with its token.
constexpr std::string_view kContentSecurityPolicy =
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

std::string_view trimmed(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  const size_t end = text.find_last_not_of(" \t");
  return end == std::string_view::npos ? "" : text.substr(begin, end + 1 - begin);
}

// If-None-Match (RFC 9110, 13.1.2): a list of tags, compared weakly, or "*".
bool matches(std::string_view if_none_match, std::string_view etag) {
  while (!if_none_match.empty()) {
    const size_t end = std::min(if_none_match.find(','), if_none_match.size());
    std::string_view tag = trimmed(if_none_match.substr(0, end));
    if_none_match.remove_prefix(std::min(end + 1, if_none_match.size()));
    if (tag == "*") return true;
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == etag) return true;
  }
  return false;
}

http::Handler asset_handler(const Asset& asset) {
  return [&asset](const http::Request& request, const http::Respond& respond) {
    http::Response response;
    response.content_type = asset.content_type;
    response.headers = {{"ETag", std::string(asset.etag)},
                        {"Cache-Control", "no-cache"},
                        {"Referrer-Policy", "no-referrer"},
                        {"Content-Security-Policy", std::string(kContentSecurityPolicy)}};
    if (matches(request.header("If-None-Match"), asset.etag)) {
      response.status = 304;
    } else {
      response.body = asset.bytes;
    }
    respond(std::move(response));
  };
}

}  // namespace

struct Page::Impl {
  explicit Impl(PageParts given) : parts(std::move(given)), stats(parts) {}

  http::Handler pooled(std::function<http::Response(const http::Request&)> answer) {
    return http::pooled(pool, "too many requests of pages wait already", std::move(answer));
  }

  PageParts parts;
  Stats stats;
  http::JobPool pool{kThreads, kQueueMax};  // last: its jobs use the others
};

Page::Page(PageParts parts) : impl_(std::make_unique<Impl>(std::move(parts))) {}
Page::~Page() = default;

void Page::add_routes(http::Router& router, const Guard& guard) {
  for (const Asset& asset : assets()) {
    const bool is_page = asset.file_name == "index.html";
    router.add("GET", is_page ? "/" : "/assets/" + std::string(asset.file_name),
               asset_handler(asset));
  }
  Impl* impl = impl_.get();
  router.add("GET", "/api/stats", guard(impl->pooled([impl](const http::Request&) {
               http::Response response;
               response.body = impl->stats.to_json();
               return response;
             })));
  const auto add = [&](const char* method, const char* path, auto answer) {
    router.add(method, path, guard(impl->pooled([impl, answer](const http::Request& request) {
                 return answer(impl->parts, request);
               })));
  };
  add("GET", "/api/documents", documents_answer);
  add("GET", "/api/similar", similar_to_document);
  add("POST", "/api/similar", similar_to_image);
  add("GET", "/api/media", media_answer);
}

}  // namespace ca4::page
