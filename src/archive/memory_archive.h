// An archive in memory, for tests.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "archive/archive.h"

namespace ca4::archive {

class MemoryArchive final : public Archive {
 public:
  Status put(std::string_view key, std::string_view body, std::string_view content_type) override;
  Result<std::string> get(std::string_view key) override;
  Result<std::vector<ObjectInfo>> list_page(std::string_view prefix, std::string_view after,
                                            size_t limit) override;
  Status remove(std::string_view key) override;
  Status ping() override;

 private:
  std::mutex mutex_;
  std::map<std::string, std::string, std::less<>> objects_;  // guarded by mutex_
};

}  // namespace ca4::archive
