// What the server has acknowledged, so that a run that was killed goes on where it was.
//
// A text file, one line an item, appended in the order of acknowledgements:
//   CRC UNIX_SECONDS KEY ID PATH
// CRC is the CRC-32 (zlib's) of the rest of the line after the space, 8 hex digits; KEY 32 hex
// digits that say what was sent where; ID and PATH are for people, with everything but printable
// ASCII without space and '%' written %XX. A line counts when its CRC fits: one that a crash tore,
// or that somebody edited, is as if it were not there, and its item is sent again under the same
// id.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/status.h"

namespace ca4::producer {

class Journal {
 public:
  // Reads `path` if it exists, creates it (not its folder) if not, leaves what begins as no journal
  // does alone (kUsage: a picture, say, that was named by mistake), and locks it against other
  // processes until closed (kUnavailable when one has it), where the file system has locks. Keeps
  // 32 bytes and the overhead of a hash table an item in memory.
  //
  // A mounted Google Drive (FUSE) uploads a file when it is closed: there, each sync closes the
  // file and opens it again.
  enum class Keep { kOpen, kCloseAtSync, kAsFileSystemNeeds };
  static Result<std::unique_ptr<Journal>> open(const std::string& path,
                                               Keep keep = Keep::kAsFileSystemNeeds);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Thread-safe.
  bool contains(std::string_view key) const;
  // Appends a line; survives the process's death at once, the machine's after the next sync.
  // Thread-safe.
  Status add(std::string_view key, std::string_view id, std::string_view path, int64_t unix_s);
  // Makes all lines so far survive the machine's death. A line lost before costs no more than
  // sending its item again, so callers sync now and then, not at each line. Thread-safe.
  Status sync();

  // Lines found damaged when the file was opened.
  size_t damaged_lines() const { return damaged_lines_; }
  const std::string& path() const { return path_; }

 private:
  explicit Journal(std::string path) : path_(std::move(path)) {}
  Status open_file();
  Status check_kind() const;
  Status load();
  void note_line(std::string_view line);
  Status append(std::string_view line);

  int fd_ = -1;
  bool close_at_sync_ = false;
  bool is_torn_ = false;  // the last line may be there in part
  std::string path_;
  size_t damaged_lines_ = 0;
  mutable std::mutex mutex_;
  std::unordered_set<std::string> keys_;
};

}  // namespace ca4::producer
