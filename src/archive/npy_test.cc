#include "archive/npy.h"

#include <gtest/gtest.h>

namespace ca4::archive {
namespace {

TEST(Npy, HeaderIsWhatNumpyWrites) {
  const std::string header = npy_header(3, 2048);
  EXPECT_EQ(header.size(), 128U);
  EXPECT_EQ(header.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_EQ(header.substr(10, 67),
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2048), }     ");
  EXPECT_EQ(header.back(), '\n');
  for (const size_t rows : {1U, 10U, 1000U, 4'000'000U}) {
    EXPECT_EQ(npy_header(rows, 65'536).size() % 64, 0U);
  }
}

TEST(Npy, ReadsBackWhatWasWritten) {
  const std::string file = npy_header(2, 1) + "abcdefgh";
  const Result<NpyMatrix> matrix = read_npy(file);
  ASSERT_TRUE(matrix) << matrix.status().message();
  EXPECT_EQ(matrix->rows, 2U);
  EXPECT_EQ(matrix->dim, 1U);
  EXPECT_EQ(matrix->row(1), "efgh");
}

TEST(Npy, CutOffOrForeignFilesAreCorruption) {
  const std::string good = npy_header(2, 1) + "abcdefgh";
  std::string fortran = good;
  fortran.replace(fortran.find("False"), 5, "True ");
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(read_npy(good.substr(0, size)).status().code(), Code::kCorruption) << size;
  }
  EXPECT_FALSE(read_npy(good + "x"));
  EXPECT_FALSE(read_npy(fortran));
  EXPECT_FALSE(read_npy(npy_header(0, 0)));
  EXPECT_FALSE(read_npy(npy_header(size_t{1} << 62U, 4)));
}

}  // namespace
}  // namespace ca4::archive
