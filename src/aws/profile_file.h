// The files of named profiles that AWS's tools share: ~/.aws/credentials and ~/.aws/config.
// Format: "Configuration and credential file settings" in the AWS CLI User Guide.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "aws/environment.h"
#include "base/status.h"

namespace ca4::aws {

using Profile = std::map<std::string, std::string, std::less<>>;  // keys in lower case

// Profiles by name. `prefixed`: the file is a config file, where a profile's section is
// [profile NAME], except [default]. Nested settings (indented lines) are left out; so are lines
// that are none.
std::map<std::string, Profile> parse_profiles(std::string_view text, bool prefixed);

// AWS_PROFILE, or "default".
std::string profile_name(const Environment& env, const std::string& chosen);

// The profile of that name out of AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE (by default in
// ~/.aws), the second going before the first. kNotFound names both files when neither has it.
Result<Profile> read_profile(const Environment& env, const std::string& name);

}  // namespace ca4::aws
