// The metadata service of an EC2 instance, version 2: "Use the Instance Metadata Service to access
// instance metadata" in the Amazon EC2 User Guide.
#pragma once

#include <string>

#include "aws/environment.h"
#include "aws/http.h"

namespace ca4::aws {

// The text at /latest/meta-data/PATH. kNotFound when the service is switched off by
// AWS_EC2_METADATA_DISABLED, does not answer (this is no EC2 instance, or a container that it does
// not reach), or has no such path.
Result<std::string> instance_metadata(const Environment& env, Http& http, const std::string& path);

}  // namespace ca4::aws
