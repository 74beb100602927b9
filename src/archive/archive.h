// The archive: cheap, long-term copies of what was accepted, as files any tool can read. All
// methods are thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace ca4::archive {

struct ObjectInfo {
  std::string key;
  uint64_t size_bytes = 0;
};

class Archive {
 public:
  virtual ~Archive() = default;

  // Stores `body` under `key`, replacing what was there, all or nothing: a reader sees the old or
  // the new object, never a part. Durable on return. Keys are relative, '/'-separated, of
  // [A-Za-z0-9._=-]; anything else is kInvalidArgument.
  virtual Status put(std::string_view key, std::string_view body,
                     std::string_view content_type) = 0;

  // The object's bytes; kNotFound.
  virtual Result<std::string> get(std::string_view key) = 0;

  // The next `limit` objects, ordered by key, of those whose keys begin with `prefix` and come
  // after `after`; fewer only where there are no more. An archive of years has millions.
  virtual Result<std::vector<ObjectInfo>> list_page(std::string_view prefix, std::string_view after,
                                                    size_t limit) = 0;

  // Removes the object, durably; ok also when there is none. A key that can't be is
  // kInvalidArgument.
  virtual Status remove(std::string_view key) = 0;

  // Ok when a put would be tried now.
  virtual Status ping() = 0;

  // All objects whose keys begin with `prefix`, ordered by key, in memory at once.
  Result<std::vector<ObjectInfo>> list(std::string_view prefix);
};

}  // namespace ca4::archive
