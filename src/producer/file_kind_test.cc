#include "producer/file_kind.h"

#include <gmock/gmock.h>

namespace ca4::producer {
namespace {

using testing::HasSubstr;

TEST(FileKind, WhatPeopleGiveForAModelIsTold) {
  EXPECT_THAT(kind_of_no_model(""), HasSubstr("empty"));
  EXPECT_THAT(kind_of_no_model("version https://git-lfs.github.com/spec/v1\n"),
              HasSubstr("git lfs pull"));
  EXPECT_THAT(kind_of_no_model("<!doctype html>"), HasSubstr("web page"));
  EXPECT_THAT(kind_of_no_model("PK\x03\x04 resnet50/data.pkl"), HasSubstr("torch.onnx.export"));
  EXPECT_THAT(kind_of_no_model("\x89HDF\r\n"), HasSubstr("Keras"));
  EXPECT_EQ(kind_of_no_model("\x08\x08\x12\x07pytorch"), "");  // as a model begins
}

}  // namespace
}  // namespace ca4::producer
