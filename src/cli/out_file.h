// A file that a command writes.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "base/status.h"

namespace ca4::cli {

class OutFile {
 public:
  // Empties what is there. kIo with the path.
  static Result<OutFile> create(const std::string& path);

  std::FILE* get() const { return file_.get(); }
  const std::string& path() const { return path_; }

  // Ends writing: kIo when anything of it failed, as on a full disk. Nothing may be written then.
  Status finish();

 private:
  struct Close {
    void operator()(std::FILE* file) const { (void)std::fclose(file); }
  };
  OutFile(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}

  std::unique_ptr<std::FILE, Close> file_;
  std::string path_;
};

}  // namespace ca4::cli
