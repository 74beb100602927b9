// The archive in an S3 bucket.
#pragma once

#include "cli/ports.h"

namespace ca4::cli {

// Asks nobody yet: a bucket that is away is waited for. kConfig when the settings can't be right.
// Counts ca4_archive_requests_total where there are metrics.
Result<std::unique_ptr<archive::Archive>> s3_archive(const Site& site);

}  // namespace ca4::cli
