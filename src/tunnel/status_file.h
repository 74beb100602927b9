// How a tunnel tells other processes what it is doing: DIR/tunnel.json, replaced whole at each
// change and each round of checks, and DIR/tunnel.lock, locked while the tunnel runs, so that a
// file left behind by kill -9 is not taken for news.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "tunnel/board.h"

namespace ca4::tunnel {

class StatusFile {
 public:
  // Makes the folder where missing. kUnavailable when another tunnel uses it, kIo when it can't be
  // written to.
  static Result<std::unique_ptr<StatusFile>> open(const std::string& dir);
  // Removes the file.
  ~StatusFile();
  StatusFile(const StatusFile&) = delete;
  StatusFile& operator=(const StatusFile&) = delete;

  // A reader sees the old or the new text, or none where the new one can't be written: the tunnel
  // matters more.
  void write(const View& view);

 private:
  bool replace(const std::string& text) const;

  StatusFile(std::string dir, int lock_fd) : dir_(std::move(dir)), lock_fd_(lock_fd) {}

  const std::string dir_;
  const int lock_fd_;
};

// The JSON of the tunnel that runs on `dir` now. kNotFound when none does, or it has left no word.
Result<std::string> read_status(const std::string& dir);

std::string to_json(const View& view);

}  // namespace ca4::tunnel
