// What every Archive must do, as one parameterised test suite. An implementation instantiates it:
//   INSTANTIATE_TEST_SUITE_P(Folder, ArchiveConformance, testing::Values(&open_folder));
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "archive/archive.h"
#include "base/test_dir.h"

namespace ca4::archive {

// Makes an empty archive, which may use the empty folder `dir`; nullptr with a test failure when it
// can't.
using OpenArchive = std::unique_ptr<Archive> (*)(const std::string& dir);

class ArchiveConformance : public testing::TestWithParam<OpenArchive> {
 protected:
  void SetUp() override;
  std::vector<std::string> keys(std::string_view prefix);
  Status put(std::string_view key, std::string_view body);

  TempDir dir_;
  std::unique_ptr<Archive> archive_;
};

}  // namespace ca4::archive
