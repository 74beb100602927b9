#include "producer/journal_place.h"

#include <filesystem>

namespace ca4::producer {

std::string default_journal(const std::string& drive) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_type what = fs::status(drive, error).type();
  // A mount that has lost its connection is a Drive all the same: without the journal there, all
  // would be sent again.
  if (what != fs::file_type::directory && what != fs::file_type::none) return ".ca4-journal";
  const fs::path folder = fs::path(drive) / "ca4";
  // A Drive that can't be written is reported when the journal is opened there.
  fs::create_directories(folder, error);
  return (folder / "produce.journal").string();
}

}  // namespace ca4::producer
