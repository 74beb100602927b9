#include "producer/journal_place.h"

#include <filesystem>

namespace ca4::producer {

std::string default_journal(const std::string& drive) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::is_directory(drive, error)) return ".ca4-journal";
  const fs::path folder = fs::path(drive) / "ca4";
  // A Drive that can't be written is reported when the journal is opened there.
  fs::create_directories(folder, error);
  return (folder / "produce.journal").string();
}

}  // namespace ca4::producer
