#include "aws/profile_file.h"

#include <gmock/gmock.h>

#include <fstream>

#include "base/test_dir.h"

namespace ca4::aws {
namespace {

using testing::HasSubstr;

TEST(Profiles, AreReadByName) {
  const auto profiles = parse_profiles(
      "# a comment\n[default]\naws_access_key_id = A\nAWS_SECRET_ACCESS_KEY=s/+=x # mine\n\n"
      "[other]\r\nregion = eu-west-1\r\ns3 =\n  region = nested\nno setting\n",
      false);
  ASSERT_EQ(profiles.size(), 2U);
  EXPECT_EQ(profiles.at("default").at("aws_access_key_id"), "A");
  EXPECT_EQ(profiles.at("default").at("aws_secret_access_key"), "s/+=x");
  EXPECT_EQ(profiles.at("other").at("region"), "eu-west-1");
}

TEST(Profiles, OfAConfigFileHaveAPrefixButTheDefault) {
  const auto profiles = parse_profiles(
      "[default]\nregion=a\n[profile two]\nregion=b\n[three]\nregion=c\n[sso-session "
      "x]\nregion=d\n",
      true);
  EXPECT_EQ(profiles.size(), 2U);
  EXPECT_EQ(profiles.at("two").at("region"), "b");
}

TEST(Profiles, OddFilesHoldNone) {
  EXPECT_TRUE(parse_profiles("", false).empty());
  EXPECT_TRUE(parse_profiles("key = outside\n=\n[", false).empty());
}

class ProfileFiles : public testing::Test {
 protected:
  std::string write(const char* name, const std::string& text) {
    std::string path = dir_.path() + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  Environment env() const {
    return [this](const std::string& name) -> std::optional<std::string> {
      if (name == "HOME") return dir_.path();
      const auto found = variables_.find(name);
      return found == variables_.end() ? std::nullopt : std::optional(found->second);
    };
  }

  TempDir dir_;
  std::map<std::string, std::string> variables_;
};

TEST_F(ProfileFiles, TheCredentialsFileGoesBeforeTheConfigFile) {
  variables_["AWS_CONFIG_FILE"] = write("c", "[profile x]\nregion=r\naws_access_key_id=old\n");
  variables_["AWS_SHARED_CREDENTIALS_FILE"] = write("k", "[x]\naws_access_key_id=new\n");
  const Result<Profile> profile = read_profile(env(), "x");
  ASSERT_TRUE(profile) << profile.status().to_string();
  EXPECT_EQ(profile->at("region"), "r");
  EXPECT_EQ(profile->at("aws_access_key_id"), "new");
}

TEST_F(ProfileFiles, WhatIsNowhereIsSaidWithBothPlaces) {
  const Status status = read_profile(env(), "x").status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(),
              HasSubstr(dir_.path() + "/.aws/credentials or " + dir_.path() + "/.aws/config"));
}

TEST_F(ProfileFiles, TheNameIsTheChosenTheVariablesOrDefault) {
  EXPECT_EQ(profile_name(env(), ""), "default");
  variables_["AWS_PROFILE"] = "v";
  EXPECT_EQ(profile_name(env(), ""), "v");
  EXPECT_EQ(profile_name(env(), "c"), "c");
}

}  // namespace
}  // namespace ca4::aws
