#include "cli/s3_ports.h"

#include <fmt/format.h>

#include "archive/s3_archive.h"
#include "aws/chain.h"
#include "aws/profile_file.h"
#include "aws/region.h"
#include "base/pem.h"
#include "cli/common.h"
#include "ops/families.h"
#include "ops/metrics.h"

namespace ca4::cli {
namespace {

archive::Addressing addressing_of(const std::string& word) {
  if (word == "path") return archive::Addressing::kPath;
  return word == "virtual" ? archive::Addressing::kVirtual : archive::Addressing::kAuto;
}

// The first of these variables that is set, for what our own setting leaves open.
std::string setting_or(const std::string& setting, std::initializer_list<const char*> variables) {
  if (!setting.empty()) return setting;
  for (const char* name : variables) {
    const std::string value = aws::value_of(environment, name);
    if (!value.empty()) return value;
  }
  return {};
}

Result<std::string> region_of(const config::Archive& settings, const std::string& endpoint,
                              aws::Http& http) {
  if (!settings.s3_region.empty()) return settings.s3_region;
  // Other servers have one region, most often by this name, and no metadata service to ask.
  if (!endpoint.empty()) {
    const std::string named = aws::environment_region(environment);
    return named.empty() ? std::string("us-east-1") : named;
  }
  Result<std::string> region =
      aws::find_region(environment, aws::profile_name(environment, settings.s3_profile), http);
  if (region) return region;
  return Status(Code::kConfig, "archive.s3_region is not set, and " + region.status().message());
}

archive::OnS3Result counting(ops::Metrics* metrics) {
  if (metrics == nullptr) return nullptr;
  auto& family = ops::counters(metrics->registry(), "ca4_archive_requests_total");
  // Present from the start, so that a rate over them sees the first one.
  for (const char* result : {"ok", "server_error", "throttled", "refused", "unreachable"}) {
    family.Add({{"result", result}});
  }
  return [&family](std::string_view result) {
    family.Add({{"result", std::string(result)}}).Increment();
  };
}

}  // namespace

Result<std::unique_ptr<archive::Archive>> s3_archive(const Site& site) {
  const config::Archive& settings = site.settings.archive;
  if (!settings.s3_kms_key_id.empty() && settings.s3_sse != "aws:kms") {
    return Status(Code::kConfig, "archive.s3_kms_key_id needs archive.s3_sse = \"aws:kms\"");
  }
  const std::string endpoint =
      setting_or(settings.s3_endpoint, {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"});
  const std::string ca_file = setting_or(settings.s3_ca_file, {"AWS_CA_BUNDLE"});
  // Else each request would fail with it, for ever.
  if (const Status status = check_certificate_file(ca_file); !ca_file.empty() && !status.is_ok()) {
    return Status(Code::kConfig,
                  fmt::format("archive.s3_ca_file (or AWS_CA_BUNDLE): {}", status.message()));
  }
  const std::shared_ptr<aws::Http> http = aws::make_http(ca_file);
  Result<std::string> region = region_of(settings, endpoint, *http);
  if (!region) return region.status();
  Result<archive::S3Address> address = archive::S3Address::make(
      endpoint, *region, settings.s3_bucket, addressing_of(settings.s3_addressing));
  if (!address) return address.status();
  archive::S3Connection connection{
      .bucket = settings.s3_bucket,
      .region = std::move(*region),
      .address = std::move(*address),
      .http = http,
      .credentials = aws::default_credentials(environment, settings.s3_profile, *http, site.clock),
      .clock = &site.clock,
      .on_result = counting(site.metrics)};
  archive::S3Options options;
  options.prefix = settings.s3_prefix;
  if (settings.s3_sse != "bucket") options.sse = settings.s3_sse;
  options.kms_key_id = settings.s3_kms_key_id;
  return std::unique_ptr<archive::Archive>(
      std::make_unique<archive::S3Archive>(std::move(connection), std::move(options)));
}

}  // namespace ca4::cli
