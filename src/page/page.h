// The page at `/` and the few JSON routes behind it: what the pipeline does now, its latest
// documents, and search by example.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "http/router.h"
#include "log/event_log.h"
#include "ops/traffic.h"
#include "store/document_store.h"

namespace ca4::page {

// The embedding of an image file's bytes (JPEG, PNG, WebP). Thread-safe; may take a second.
using EmbedBytes = std::function<Result<std::vector<float>>(std::string_view image)>;

// What the page shows. Everything given must outlive the page; pointers may be null where a process
// has no such part, and then the page says so.
struct PageParts {
  const Clock* clock = nullptr;
  const ops::Traffic* traffic = nullptr;
  log::EventLog* log = nullptr;
  std::vector<std::string> groups;  // whose lag is shown; first the one that writes the store
  log::EventLog* dead_letters = nullptr;
  store::DocumentStore* store = nullptr;
  EmbedBytes embed;        // empty: no search by an uploaded image, only by a stored one
  std::string media_root;  // folder whose images may be shown (source_uri below it); empty: none
  std::function<size_t()> connections;
  std::string version;  // of the program
};

// Wraps a handler so that it asks for a bearer token where tokens are configured.
using Guard = std::function<http::Handler(http::Handler)>;

class Page {
 public:
  explicit Page(PageParts parts);
  ~Page();  // waits for what runs in its pool

  // Adds `/`, the assets (open to all: they hold no data) and `/api/...` (through `guard`).
  // Handlers never block the event loop: what reads the store runs in a small pool with a bounded
  // queue, full: 503.
  void add_routes(http::Router& router, const Guard& guard);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ca4::page
