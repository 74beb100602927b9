#include "archive/memory_archive.h"

#include <fmt/format.h>

#include "archive/key.h"

namespace ca4::archive {

Status MemoryArchive::put(std::string_view key, std::string_view body, std::string_view) {
  if (Status bad = check_key(key); !bad.is_ok()) return bad;
  const std::lock_guard lock(mutex_);
  objects_.insert_or_assign(std::string(key), std::string(body));
  return Status::ok();
}

Result<std::string> MemoryArchive::get(std::string_view key) {
  if (Status bad = check_key(key); !bad.is_ok()) return bad;
  const std::lock_guard lock(mutex_);
  const auto object = objects_.find(key);
  if (object == objects_.end()) {
    return Status(Code::kNotFound, fmt::format("archive: no object '{}'", key));
  }
  return object->second;
}

Result<std::vector<ObjectInfo>> MemoryArchive::list_page(std::string_view prefix,
                                                         std::string_view after, size_t limit) {
  std::vector<ObjectInfo> found;
  const std::lock_guard lock(mutex_);
  auto object = after < prefix ? objects_.lower_bound(prefix) : objects_.upper_bound(after);
  for (; object != objects_.end() && object->first.starts_with(prefix) && found.size() < limit;
       ++object) {
    found.push_back({object->first, object->second.size()});
  }
  return found;
}

Status MemoryArchive::remove(std::string_view key) {
  if (Status bad = check_key(key); !bad.is_ok()) return bad;
  const std::lock_guard lock(mutex_);
  const auto object = objects_.find(key);
  if (object != objects_.end()) objects_.erase(object);
  return Status::ok();
}

Status MemoryArchive::ping() {
  return Status::ok();
}

}  // namespace ca4::archive
