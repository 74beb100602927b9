#include "cli/kafka_ports.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "aws/chain.h"
#include "aws/msk_token.h"
#include "aws/profile_file.h"
#include "aws/region.h"
#include "base/pem.h"
#include "cli/common.h"
#include "cli/data_layout.h"
#include "log/kafka_log.h"
#include "log/wire_values.h"
#include "ops/metrics.h"
#include "producer/hash.h"

namespace ca4::cli {
namespace {

constexpr size_t kPasswordFileBytesMax = 64 * 1024;  // a wrong path is refused

// librdkafka would say what OpenSSL says, without the file.
Status check_tls_files(const config::Kafka& from) {
  const auto check = [](const char* setting, const std::string& path,
                        Status (*good)(const std::string&)) {
    if (path.empty()) return Status::ok();
    const Status status = good(path);
    if (status.is_ok()) return status;
    return Status(Code::kConfig, fmt::format("kafka.{}: {}", setting, status.message()));
  };
  if (Status ca = check("ca_file", from.ca_file, check_certificate_file); !ca.is_ok()) return ca;
  if (Status cert = check("cert_file", from.cert_file, check_certificate_file); !cert.is_ok()) {
    return cert;
  }
  return check("key_file", from.key_file, check_private_key_file);
}

// The first line, as it is but for its end.
Result<std::string> read_password(const std::string& path) {
  Result<std::string> text = producer::read_file(path, kPasswordFileBytesMax);
  if (!text) return Status(Code::kConfig, "kafka.password_file: " + text.status().message());
  std::string line = text->substr(0, text->find_first_of("\r\n"));
  if (!line.empty()) return line;
  return Status(Code::kConfig,
                fmt::format("kafka.password_file: {}: its first line is empty", path));
}

// Looks for the identity where AWS's own tools do, and keeps it as long as it holds.
class MskLogin {
 public:
  MskLogin(const Clock& clock, std::string region, std::shared_ptr<aws::Http> http)
      : clock_(clock),
        region_(std::move(region)),
        http_(std::move(http)),
        credentials_(aws::default_credentials(environment, {}, *http_, clock)) {}

  Result<log::OauthToken> token() {
    const Result<aws::Credentials> credentials = credentials_->get();
    if (!credentials) return credentials.status();
    aws::MskToken token = aws::msk_token(*credentials, region_, clock_.now_us());
    return log::OauthToken{std::move(token.token), token.expires_at_ms, "ca4"};
  }

 private:
  const Clock& clock_;
  const std::string region_;
  const std::shared_ptr<aws::Http> http_;
  const std::unique_ptr<aws::CredentialsProvider> credentials_;
};

Status add_login(const Site& site, log::KafkaSecurity& security) {
  const config::Kafka& from = site.settings.kafka;
  if (!from.security_protocol.starts_with("sasl")) return Status::ok();
  if (from.sasl_mechanism != "AWS_MSK_IAM") {
    security.mechanism = from.sasl_mechanism;
    security.username = from.username;
    Result<std::string> password = read_password(from.password_file);
    if (!password) return password.status();
    security.password = std::move(*password);
    return Status::ok();
  }
  const std::shared_ptr<aws::Http> http =
      aws::make_http(aws::value_of(environment, "AWS_CA_BUNDLE"));
  Result<std::string> region = from.aws_region;
  if (from.aws_region.empty()) {
    region = aws::find_region(environment, aws::profile_name(environment, {}), *http);
  }
  if (!region) {
    return {Code::kConfig, "kafka.aws_region: the cluster's region is needed to log in to MSK; " +
                               region.status().message()};
  }
  security.mechanism = "OAUTHBEARER";
  security.token_source = [login = std::make_shared<MskLogin>(site.clock, *region, http)] {
    return login->token();
  };
  return Status::ok();
}

}  // namespace

Result<log::KafkaOptions> kafka_options(const Site& site, const std::string& topic, bool appends) {
  const config::Kafka& from = site.settings.kafka;
  log::KafkaOptions options;
  options.bootstrap = from.bootstrap;
  options.topic = topic;
  options.appends = appends;
  options.security.protocol = from.security_protocol;
  options.security.ca_file = from.ca_file;
  options.security.cert_file = from.cert_file;
  options.security.key_file = from.key_file;
  if (const Status files = check_tls_files(from); !files.is_ok()) return files;
  const Status login = add_login(site, options.security);
  if (!login.is_ok()) return login;
  Result<log::BrokerMap> map = log::BrokerMap::parse(from.broker_map);
  if (!map) return Status(Code::kConfig, "kafka.broker_map: " + map.status().message());
  options.broker_map = std::move(*map);
  options.compression = from.compression;
  options.linger_ms = from.linger_ms;
  options.delivery_timeout_ms = from.delivery_timeout_ms;
  options.queue_bytes_max = static_cast<size_t>(site.settings.log.queue_bytes_max);
  options.record_bytes_max = static_cast<size_t>(from.record_bytes_max);
  options.session_timeout_ms = from.session_timeout_ms;
  return options;
}

Result<std::unique_ptr<log::EventLog>> kafka_events(const Site& site, Roles roles) {
  const bool appends = roles.accepts || roles.resends;
  const Result<log::KafkaOptions> options = kafka_options(site, site.settings.log.topic, appends);
  if (!options) return options.status();
  Result<std::unique_ptr<log::KafkaLog>> opened = log::KafkaLog::open(*options);
  if (!opened) return opened.status();
  if (site.metrics != nullptr) {
    log::KafkaLog& events = **opened;
    site.metrics->gauge("ca4_kafka_up", [&events] { return events.ready().is_ok() ? 1.0 : 0.0; });
  }
  const bool json = site.settings.kafka.value_format == "json";
  return log::with_wire_values(std::move(*opened),
                               json ? log::ValueFormat::kJson : log::ValueFormat::kRecord,
                               std::min(options->record_bytes_max, options->queue_bytes_max));
}

Result<std::unique_ptr<log::EventLog>> kafka_dead_letters(const Site& site, bool writes) {
  Result<log::KafkaOptions> options = kafka_options(site, dead_letter_topic(site.settings), writes);
  if (!options) return options.status();
  options->tells_outages = false;  // that of the events does
  Result<std::unique_ptr<log::KafkaLog>> opened = log::KafkaLog::open(*options);
  if (!opened) return opened.status();
  return std::unique_ptr<log::EventLog>(std::move(*opened));
}

}  // namespace ca4::cli
