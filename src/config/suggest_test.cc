#include "config/suggest.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ca4::config {
namespace {

TEST(Suggest, DistanceCountsEditsAndSwapsAsOne) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("listen", "lisen"), 1U);
  EXPECT_EQ(edit_distance("listen", "lisetn"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("ca", "abc"), 3U);  // optimal string alignment, not full Damerau
}

TEST(Suggest, TheNearestWordWins) {
  const std::vector<std::string_view> known = {"threads", "token_file", "listen", "level"};
  EXPECT_EQ(nearest("lisen", known), "listen");
  EXPECT_EQ(nearest("tokenfile", known), "token_file");
  EXPECT_EQ(nearest("thraeds", known), "threads");
}

TEST(Suggest, AFarWordGivesNoSuggestion) {
  const std::vector<std::string_view> known = {"up", "work", "query"};
  EXPECT_EQ(nearest("banana", known), "");
  EXPECT_EQ(nearest("", known), "");
  EXPECT_EQ(nearest(std::string(100'000, 'q'), known), "");
}

TEST(Suggest, ABeginningIsCompleted) {
  const std::vector<std::string_view> known = {"up", "completion"};
  EXPECT_EQ(nearest("comp", known), "completion");
  EXPECT_EQ(nearest("c", known), "");
}

}  // namespace
}  // namespace ca4::config
