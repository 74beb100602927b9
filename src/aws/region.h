// Which AWS region a process belongs to.
#pragma once

#include <string>

#include "aws/environment.h"
#include "aws/http.h"

namespace ca4::aws {

// AWS_REGION, else AWS_DEFAULT_REGION, else empty.
std::string environment_region(const Environment& env);

// The environment's region, else the profile's, else that of the EC2 instance. kConfig names what
// was looked at when there is none.
Result<std::string> find_region(const Environment& env, const std::string& profile, Http& http);

// "amazonaws.com", or China's.
std::string dns_suffix(std::string_view region);

}  // namespace ca4::aws
