// Where a process leaves the address of its admin port for people and tools on the same machine.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"

namespace ca4::admin {

// A file with one line, the address, that is there as long as this object. It is locked meanwhile,
// so that one that a killed process left behind is not taken for an address.
class AddressFile {
 public:
  // Makes `folder` when it is missing. The file is `folder`/`name`, or NAME-2, NAME-3, ... where
  // other processes that run have those. kIo, with the path, when it can't be written.
  static Result<std::unique_ptr<AddressFile>> write(const std::string& folder,
                                                    const std::string& name,
                                                    const std::string& address);
  // Removes the file, and the folders that were made for it unless there is something in them.
  ~AddressFile();
  AddressFile(const AddressFile&) = delete;
  AddressFile& operator=(const AddressFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  AddressFile(std::string path, int fd, std::vector<std::string> made);

  const std::string path_;
  const int fd_;
  const std::vector<std::string> made_;  // folders, the inner ones first
};

struct RunningProcess {
  std::string name;     // "serve", "work-2"
  std::string address;  // "http://127.0.0.1:40123"
};

// Those whose files are in `folder` and which run, by name. None where there is no such folder.
std::vector<RunningProcess> running_processes(const std::string& folder);

}  // namespace ca4::admin
