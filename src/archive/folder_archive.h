// An archive in a folder: a key is a path below it. Any tool can read it, also while it is written.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "archive/archive.h"

namespace ca4::archive {

// Several processes may write into one folder. The folder must be one file system: objects are
// written under DIR/.incoming and then renamed into their place.
class FolderArchive final : public Archive {
 public:
  // Makes the folder where missing and removes what writers that were killed left unfinished. kIo
  // when the folder can't be made or written to.
  static Result<std::unique_ptr<FolderArchive>> open(const std::string& dir);

  // For reading alone: makes and removes nothing. kNotFound where there is no folder. Putting is
  // then a defect of the caller.
  static Result<std::unique_ptr<FolderArchive>> open_read_only(const std::string& dir);

  // Synced before it returns, and so is every folder on the way to it. kIo with the system's
  // reason.
  Status put(std::string_view key, std::string_view body, std::string_view content_type) override;
  Result<std::string> get(std::string_view key) override;
  Result<std::vector<ObjectInfo>> list_page(std::string_view prefix, std::string_view after,
                                            size_t limit) override;
  Status remove(std::string_view key) override;
  Status ping() override;

 private:
  explicit FolderArchive(std::string dir) : dir_(std::move(dir)) {}
  void remove_unfinished();
  // Makes the folders of `path`, below dir_, so that a power cut can't take them away again.
  Status make_folders(const std::string& path);

  const std::string dir_;
  std::mutex mutex_;
  std::string durable_folder_;  // the last one made durable, relative; guarded by mutex_
};

}  // namespace ca4::archive
