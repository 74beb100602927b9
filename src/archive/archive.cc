#include "archive/archive.h"

#include <iterator>

namespace ca4::archive {
namespace {

constexpr size_t kPageObjects = 1000;  // what S3 gives at once

}  // namespace

Result<std::vector<ObjectInfo>> Archive::list(std::string_view prefix) {
  std::vector<ObjectInfo> all;
  for (size_t got = kPageObjects; got == kPageObjects;) {
    const std::string after = all.empty() ? "" : all.back().key;
    Result<std::vector<ObjectInfo>> page = list_page(prefix, after, kPageObjects);
    if (!page) return page;
    got = page->size();
    std::move(page->begin(), page->end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace ca4::archive
