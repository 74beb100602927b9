#include "aws/region.h"

#include <fmt/format.h>

#include "aws/instance_metadata.h"
#include "aws/profile_file.h"

namespace ca4::aws {

std::string environment_region(const Environment& env) {
  const std::string region = value_of(env, "AWS_REGION");
  return region.empty() ? value_of(env, "AWS_DEFAULT_REGION") : region;
}

Result<std::string> find_region(const Environment& env, const std::string& profile, Http& http) {
  std::string region = environment_region(env);
  if (!region.empty()) return region;
  const Result<Profile> settings = read_profile(env, profile);
  if (settings && settings->contains("region")) return settings->at("region");
  const Result<std::string> here = instance_metadata(env, http, "placement/region");
  if (here) return *here;
  return Status(
      Code::kConfig,
      fmt::format(
          "no AWS region: AWS_REGION and AWS_DEFAULT_REGION are not set; {}; instance: {}",
          settings ? fmt::format("profile '{}' names none", profile) : settings.status().message(),
          here.status().message()));
}

std::string dns_suffix(std::string_view region) {
  return region.starts_with("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
}

}  // namespace ca4::aws
