// A file that a command writes.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace ca4::cli {

class OutFile {
 public:
  // Empties what is there. kIo with the path.
  static Result<OutFile> create(const std::string& path);

  const std::string& path() const { return path_; }

  // Buffered. kIo with the path, as on a full disk.
  Status write(std::string_view text);
  // Ends writing; all of it is on the disk then. kIo when anything of it failed. Nothing may be
  // written behind it.
  Status finish();

 private:
  struct Close {
    void operator()(std::FILE* file) const { (void)std::fclose(file); }
  };
  OutFile(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}

  std::unique_ptr<std::FILE, Close> file_;
  std::string path_;
  int errno_ = 0;  // of the first write that failed
};

}  // namespace ca4::cli
