#include "log/kafka_client.h"

#include <fmt/format.h>
#include <netdb.h>
#include <spdlog/spdlog.h>
#include <syslog.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <future>
#include <thread>

#include "log/kafka_error.h"
#include "log/kafka_pack.h"
#include "log/kafka_unpack.h"

namespace ca4::log {
namespace {

using std::chrono::steady_clock;

constexpr int kScramFixed = 0x02060100;  // as rd_kafka_version says 2.6.1
constexpr auto kTroubleLasts = std::chrono::seconds(30);
// A token that was made by a clock that was wrong is refused, and librdkafka would keep it for as
// long as it claims to live. Making one may ask a server for credentials.
constexpr auto kTokenAgain = std::chrono::seconds(5);
// Joining the threads of an instance takes milliseconds, or a second where brokers are away. A
// process has a few of them to end in the 30 s that Kubernetes gives it.
constexpr auto kEndMs = std::chrono::milliseconds(3'000);

// What every client has, whatever its role. Times in milliseconds. After a network comes back a
// client must be back within 10 s: an attempt to connect that met silence is over after 5, the next
// follows within 2. A connection on which an answer is overdue for 10 s is given up.
const KafkaProperties kCommon = {
    {"client.id", "ca4"},
    {"allow.auto.create.topics", "false"},  // `ca4 topics ensure` is the only one who makes topics
    {"socket.nagle.disable", "true"},       // an answer waits for each request
    {"socket.keepalive.enable", "true"},
    {"socket.timeout.ms", "10000"},
    {"socket.connection.setup.timeout.ms", "5000"},
    {"reconnect.backoff.ms", "100"},
    {"reconnect.backoff.max.ms", "2000"},
    // How soon a topic that was made or grown is noticed.
    {"topic.metadata.refresh.interval.ms", "5000"},
};

// What librdkafka says, line by line and client by client, of brokers that are away and a group
// that is rearranged. It is for whoever looks for a fault in it: the watch, the producer and the
// consumers say once, in our settings' names, what it comes to.
constexpr std::string_view kSaidByUs[] = {"FAIL",   "REQTMOUT",  "METADATA",
                                          "GETPID", "SESSTMOUT", "COMMITFAIL"};

// It says of a place that is not there any more, or not yet, only that it goes on elsewhere.
constexpr const char* kReset =
    "; what Kafka deleted before it was read is lost (docs/kafka.md#retention); of a topic that "
    "was replaced, or whose records come damaged, all is read";

// Its guesses about connections that end at once are good; these say them in our settings.
struct Hint {
  std::string_view guess;
  const char* advice;
};
constexpr const char* kNoTls =
    "it may speak no TLS there: kafka.security_protocol = \"plaintext\", with a user "
    "\"sasl_plaintext\"";
constexpr Hint kHints[] = {
    {"connecting to a SSL listener?",
     "it may speak TLS: kafka.security_protocol = \"ssl\", with a user \"sasl_ssl\""},
    {"connecting to a PLAINTEXT broker listener?", kNoTls},
    // Kafka hangs up on what it takes for a request of gigabytes.
    {"SSL routines::unexpected eof", kNoTls},
    {"might require SASL authentication",
     "it may want a user: kafka.security_protocol = \"sasl_plaintext\""},
    {"not valid in current SASL state",
     "it takes no log-in there: kafka.security_protocol without \"sasl_\""},
};

const Hint* hint_in(std::string_view text) {
  const auto* hint = std::ranges::find_if(
      kHints, [&](const Hint& each) { return text.find(each.guess) != std::string_view::npos; });
  return hint == std::end(kHints) ? nullptr : hint;
}

// The same end of a connection as one that a hint is for, seen while a request was being written.
bool is_cut_off(std::string_view text) {
  return text.find("Send failed: ") != std::string_view::npos ||
         text.find("Receive failed: ") != std::string_view::npos;
}

// "HOST:PORT/bootstrap: TEXT (after 3ms in state CONNECT)" as "HOST:PORT: TEXT", or with the advice
// of `hint`, null for none, in place of TEXT.
std::string in_our_words(std::string text, const Hint* hint) {
  constexpr std::string_view kBootstrap = "/bootstrap: ";
  const size_t bootstrap = text.find(kBootstrap);
  if (bootstrap != std::string::npos) text.replace(bootstrap, kBootstrap.size(), ": ");
  text = text.substr(0, text.rfind(" (after "));
  if (hint == nullptr) return text;
  return fmt::format("{}: {}", text.substr(0, text.find(": ")), hint->advice);
}

KafkaClient& self(void* opaque) {
  return *static_cast<KafkaClient*>(opaque);
}

Status set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  char why[512];
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), why, sizeof why) == RD_KAFKA_CONF_OK) {
    return Status::ok();
  }
  return {Code::kConfig, fmt::format("kafka: {}: {}", name, why)};
}

KafkaProperties security_properties(const KafkaSecurity& security) {
  KafkaProperties properties = {{"security.protocol", security.protocol}};
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) properties.emplace_back(name, value);
  };
  if (security.protocol.starts_with("sasl")) {
    add("sasl.mechanisms", security.mechanism);
    add("sasl.username", security.username);
    add("sasl.password", security.password);
  }
  if (security.protocol.ends_with("ssl")) {
    // The name that the broker is known by must be in its certificate, also behind a tunnel.
    add("ssl.endpoint.identification.algorithm", "https");
    add("ssl.ca.location", security.ca_file);
    add("ssl.certificate.location", security.cert_file);
    add("ssl.key.location", security.key_file);
  }
  return properties;
}

// librdkafka's resolve callback. With all of the first three null it gives back the memory of
// `found`.
int resolve(const BrokerMap& map, const char* node, const char* service, const addrinfo* hints,
            addrinfo** found) {
  if (node == nullptr && service == nullptr && hints == nullptr) {
    freeaddrinfo(*found);
    return 0;
  }
  const auto instead = map.find(node == nullptr ? "" : node, service == nullptr ? "" : service);
  if (!instead) return getaddrinfo(node, service, hints, found);
  return getaddrinfo(instead->host.c_str(), instead->port.c_str(), hints, found);
}

bool is_refusal(rd_kafka_resp_err_t err) {
  return err == RD_KAFKA_RESP_ERR__AUTHENTICATION || err == RD_KAFKA_RESP_ERR__SSL ||
         err == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED;
}

spdlog::level::level_enum severity(int syslog_level) {
  if (syslog_level <= LOG_WARNING) return spdlog::level::warn;
  return syslog_level <= LOG_INFO ? spdlog::level::debug : spdlog::level::trace;
}

}  // namespace

void ClientCloser::operator()(KafkaClient* client) const {
  if (client->handle_ != nullptr) {
    auto ended = std::make_shared<std::promise<void>>();
    const std::future<void> end = ended->get_future();
    std::thread([handle = client->handle_, ended] {
      rd_kafka_destroy(handle);
      ended->set_value();
    }).detach();
    if (end.wait_for(kEndMs) != std::future_status::ready) {
      spdlog::warn("kafka: connections that do not end are left to the end of the process");
      return KafkaClient::abandon(OwnedClient(client));
    }
  }
  delete client;
}

Result<OwnedClient> KafkaClient::create(rd_kafka_type_t type, const KafkaOptions& options,
                                        const KafkaProperties& properties, KafkaHooks hooks) {
  unpack_in_one_go();
  pack_quickly();
  OwnedClient client(new KafkaClient(options, std::move(hooks)));
  std::unique_ptr<rd_kafka_conf_t, decltype(&rd_kafka_conf_destroy)> conf(rd_kafka_conf_new(),
                                                                          rd_kafka_conf_destroy);
  const Status configured = client->configure(conf.get(), properties);
  if (!configured.is_ok()) return configured;
  char why[512];
  client->handle_ = rd_kafka_new(type, conf.get(), why, sizeof why);
  if (client->handle_ == nullptr) {
    const rd_kafka_resp_err_t err = rd_kafka_last_error();
    const bool machine =
        err == RD_KAFKA_RESP_ERR__TIMED_OUT || err == RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;
    if (err == RD_KAFKA_RESP_ERR__TIMED_OUT) {  // its threads may still begin, and use both
      (void)conf.release();
      abandon(std::move(client));
    }
    return Status(machine ? Code::kUnavailable : Code::kConfig, fmt::format("kafka: {}", why));
  }
  (void)conf.release();  // the instance has it now
  if (options.security.token_source) {
    rd_kafka_error_t* error = rd_kafka_sasl_background_callbacks_enable(client->handle_);
    if (error != nullptr) {
      const Status status(Code::kConfig, fmt::format("kafka: {}", rd_kafka_error_string(error)));
      rd_kafka_error_destroy(error);
      return status;
    }
  }
  return client;
}

void KafkaClient::abandon(OwnedClient client) {
  client->abandoned_ = true;
  (void)client.release();  // librdkafka's threads refer to it
}

Status KafkaClient::configure(rd_kafka_conf_t* conf, const KafkaProperties& properties) {
  KafkaProperties all = kCommon;
  all.emplace_back("bootstrap.servers", options_.bootstrap);
  const KafkaProperties security = security_properties(options_.security);
  all.insert(all.end(), security.begin(), security.end());
  all.insert(all.end(), properties.begin(), properties.end());
  for (const auto& [name, value] : all) {
    const Status status = set(conf, name, value);
    if (!status.is_ok()) return status;
  }
  set_callbacks(conf);
  return Status::ok();
}

void KafkaClient::set_callbacks(rd_kafka_conf_t* conf) {
  rd_kafka_conf_set_opaque(conf, this);
  rd_kafka_conf_set_log_cb(
      conf, [](const rd_kafka_t* handle, int level, const char* facility, const char* text) {
        self(rd_kafka_opaque(handle)).log(level, facility, text);
      });
  rd_kafka_conf_set_error_cb(conf, [](rd_kafka_t*, int err, const char* reason, void* opaque) {
    self(opaque).failed(static_cast<rd_kafka_resp_err_t>(err), reason);
  });
  if (hooks_.delivered) {
    rd_kafka_conf_set_dr_msg_cb(conf,
                                [](rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
                                  self(opaque).hooks_.delivered(*message);
                                });
  }
  if (hooks_.rebalance) {
    rd_kafka_conf_set_rebalance_cb(
        conf, [](rd_kafka_t*, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t* list,
                 void* opaque) { self(opaque).hooks_.rebalance(what, list); });
  }
  if (options_.security.token_source) {
    rd_kafka_conf_enable_sasl_queue(conf, 1);
    rd_kafka_conf_set_oauthbearer_token_refresh_cb(
        conf,
        [](rd_kafka_t* handle, const char*, void* opaque) { self(opaque).refresh_token(handle); });
  }
  if (!options_.broker_map.empty()) {
    rd_kafka_conf_set_resolve_cb(conf, [](const char* node, const char* service,
                                          const addrinfo* hints, addrinfo** found, void* opaque) {
      return resolve(self(opaque).options_.broker_map, node, service, hints, found);
    });
  }
}

std::string KafkaClient::trouble() const {
  const std::lock_guard lock(mutex_);
  if (trouble_.empty() || steady_clock::now() - trouble_at_ > kTroubleLasts) return {};
  return trouble_;
}

bool KafkaClient::refused() const {
  const std::lock_guard lock(mutex_);
  return is_refusal(trouble_err_) && steady_clock::now() - trouble_at_ <= kTroubleLasts;
}

bool KafkaClient::all_failed() const {
  const std::lock_guard lock(mutex_);
  return all_failed_;
}

Status KafkaClient::no_token() const {
  const std::lock_guard lock(mutex_);
  if (token_trouble_.empty()) return Status::ok();
  return {Code::kUnavailable, "kafka: nothing to log in with: " + token_trouble_};
}

Status KafkaClient::why(rd_kafka_resp_err_t err, const std::string& topic) const {
  const bool unanswered = err == RD_KAFKA_RESP_ERR__TRANSPORT ||
                          err == RD_KAFKA_RESP_ERR__TIMED_OUT ||
                          err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT;
  if (Status none = no_token(); !none.is_ok() && (unanswered || is_refusal(err))) return none;
  const rd_kafka_resp_err_t told =
      unanswered && refused() ? RD_KAFKA_RESP_ERR__AUTHENTICATION : err;
  std::string detail = trouble();
  // Its client sends the nonce wrongly put together; brokers before 4.0 do not mind.
  if (told == RD_KAFKA_RESP_ERR__AUTHENTICATION && rd_kafka_version() < kScramFixed &&
      options_.security.mechanism.starts_with("SCRAM")) {
    detail +=
        fmt::format("; brokers since Kafka 4.0 take no SCRAM from librdkafka {}, 2.6.1 is needed",
                    rd_kafka_version_str());
  }
  return kafka_status(told, topic, detail);
}

void KafkaClient::failed(rd_kafka_resp_err_t err, const std::string& reason) {
  if (err == RD_KAFKA_RESP_ERR__FATAL) {
    char why[512];
    rd_kafka_fatal_error(handle_, why, sizeof why);
    if (hooks_.fatal) hooks_.fatal(why);
    return;
  }
  note_trouble(err, reason);
  if (is_refusal(err) && options_.security.token_source) replace_token();
}

void KafkaClient::note_trouble(rd_kafka_resp_err_t err, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  // Comes after each one's own reason, and says less.
  if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
    all_failed_ = true;
    return;
  }
  const steady_clock::time_point now = steady_clock::now();
  const bool known = advised_ && now - trouble_at_ <= kTroubleLasts;
  trouble_at_ = now;
  if (known && is_cut_off(reason)) return;
  const Hint* const hint = hint_in(reason);
  trouble_ = in_our_words(reason, hint);
  trouble_err_ = err;
  advised_ = hint != nullptr;
}

void KafkaClient::log(int level, const std::string& facility, const char* text) {
  if (abandoned_) return;
  spdlog::level::level_enum as = severity(level);
  if (as == spdlog::level::warn && std::ranges::find(kSaidByUs, facility) != std::end(kSaidByUs)) {
    as = spdlog::level::debug;
  }
  if (as != spdlog::level::warn) return spdlog::log(as, "kafka: {}: {}", facility, text);
  const std::optional<size_t> kept_back = limiter_.allow(facility, steady_clock::now());
  if (!kept_back) return;
  const bool reset = facility == "OFFSET" && strstr(text, "offset reset") != nullptr;
  spdlog::log(as, "kafka: {}: {}{}{}", facility, text, reset ? kReset : "",
              and_like_it(*kept_back));
}

void KafkaClient::replace_token() {
  {
    const std::lock_guard lock(mutex_);
    const auto now = steady_clock::now();
    if (token_replaced_at_ && now - *token_replaced_at_ < kTokenAgain) return;
    token_replaced_at_ = now;
  }
  refresh_token(handle_);
}

void KafkaClient::refresh_token(rd_kafka_t* handle) {
  const Result<OauthToken> token = options_.security.token_source();
  {
    const std::lock_guard lock(mutex_);
    token_trouble_ = token ? "" : token.status().message();
  }
  if (!token) {
    rd_kafka_oauthbearer_set_token_failure(handle, token.status().message().c_str());
    return;
  }
  char why[512];
  const rd_kafka_resp_err_t err =
      rd_kafka_oauthbearer_set_token(handle, token->token.c_str(), token->expires_at_ms,
                                     token->principal.c_str(), nullptr, 0, why, sizeof why);
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) rd_kafka_oauthbearer_set_token_failure(handle, why);
}

}  // namespace ca4::log
