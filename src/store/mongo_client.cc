#include "store/mongo_client.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <optional>
#include <string>
#include <vector>

#include "base/pem.h"
#include "store/mongo_errors.h"

namespace ca4::store {
namespace {

constexpr const char* kAppName = "ca4";

// Set while this thread has the library read a URI.
thread_local std::vector<std::string>* uri_remarks = nullptr;

// Its warnings are of requests that fail, which the caller is told as well, in our words; and of
// what it does not take out of a URI.
void write_log(mongoc_log_level_t level, const char* domain, const char* message, void*) {
  if (uri_remarks != nullptr) {
    uri_remarks->emplace_back(message);
    return;
  }
  const auto severity =
      level <= MONGOC_LOG_LEVEL_CRITICAL ? spdlog::level::err : spdlog::level::debug;
  spdlog::log(severity, "libmongoc {}: {}", domain, message);
}

// Once a process; libmongoc frees what it holds only when the process ends anyway.
void initialise_library() {
  static std::once_flag once;
  std::call_once(once, [] {
    mongoc_log_set_handler(write_log, nullptr);
    mongoc_init();
  });
}

std::string hosts_of(const mongoc_uri_t* uri) {
  if (const char* const name = mongoc_uri_get_srv_hostname(uri)) return name;
  std::string hosts;
  for (const mongoc_host_list_t* host = mongoc_uri_get_hosts(uri); host != nullptr;
       host = host->next) {
    hosts += (hosts.empty() ? "" : ",") + std::string(host->host_and_port);
  }
  return hosts;
}

// libmongoc quotes what it can't read, and that may be part of a password with an unescaped '@'.
std::string without_quotes(std::string_view text) {
  std::string out;
  bool quoted = false;
  for (const char c : text) {
    const bool quote = c == '"' || c == '\'';
    if (quote && !quoted) out += "'...'";
    if (quote) quoted = !quoted;
    if (!quote && !quoted) out += c;
  }
  return out;
}

constexpr const char* kEscapes =
    "a password's special characters are written %40 for @, %2F for /, %3A for :";

Status bad_uri(std::string_view why) {
  return {Code::kConfig, fmt::format("MONGO_URI (store.mongo_uri): {}", why)};
}

// The caller owns it; null with `error` set. An option with a slip in its name (tsl=true) is left
// out, which the library says in passing.
mongoc_uri_t* read_uri(const std::string& text, bson_error_t& error) {
  std::vector<std::string> remarks;
  uri_remarks = &remarks;
  mongoc_uri_t* const uri = mongoc_uri_new_with_error(text.c_str(), &error);
  uri_remarks = nullptr;
  if (uri == nullptr) return nullptr;
  // Behind a '?' of the password is more of it.
  const size_t at = text.rfind('@');
  const bool secret = at != std::string::npos && text.find('?') < at;
  for (const std::string& remark : remarks) {
    spdlog::warn("MONGO_URI (store.mongo_uri): {}", secret ? without_quotes(remark) : remark);
  }
  return uri;
}

// What the URI leaves open. The library's own defaults: 10 s to connect, 30 s to find a server, 5
// minutes of silence, 100 clients that are waited for without end.
void set_defaults(mongoc_uri_t* uri, const MongoClientOptions& options) {
  const auto number = [uri](const char* name, int64_t value) {
    if (mongoc_uri_has_option(uri, name)) return;
    mongoc_uri_set_option_as_int32(uri, name, static_cast<int32_t>(value));
  };
  number(MONGOC_URI_CONNECTTIMEOUTMS, options.connect_timeout_ms);
  number(MONGOC_URI_SERVERSELECTIONTIMEOUTMS, options.server_selection_timeout_ms);
  number(MONGOC_URI_SOCKETTIMEOUTMS, options.socket_timeout_ms);
  number(MONGOC_URI_MAXPOOLSIZE, options.clients_max);
  number(MONGOC_URI_WAITQUEUETIMEOUTMS, options.server_selection_timeout_ms);
  // Upserts are safe to repeat, and the worker does; DocumentDB refuses the library's way of it.
  if (!mongoc_uri_has_option(uri, MONGOC_URI_RETRYWRITES)) {
    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, false);
  }
  if (mongoc_uri_get_appname(uri) == nullptr) mongoc_uri_set_appname(uri, kAppName);
}

// The library takes any files, and says that it can't use them with each of its endless attempts
// to connect, or connects without them and says nothing.
Status check_tls_files(const mongoc_uri_t* uri) {
  const auto check = [uri](const char* option, Status (*good)(const std::string&)) {
    const char* const path = mongoc_uri_get_option_as_utf8(uri, option, nullptr);
    if (path == nullptr) return Status::ok();
    const Status status = good(path);
    return status.is_ok() ? status : bad_uri(fmt::format("{}: {}", option, status.message()));
  };
  // Names of options are taken in any case; these are as the manuals write them.
  if (Status ca = check("tlsCAFile", check_certificate_file); !ca.is_ok()) return ca;
  constexpr const char* kOwn = "tlsCertificateKeyFile";
  if (Status own = check(kOwn, check_certificate_file); !own.is_ok()) return own;
  // A key with a passphrase is the library's to open.
  if (mongoc_uri_has_option(uri, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD)) return Status::ok();
  return check(kOwn, check_private_key_file);
}

Status set_ca_file(mongoc_uri_t* uri, const std::string& ca_file) {
  if (ca_file.empty()) return Status::ok();
  if (const Status status = check_certificate_file(ca_file); !status.is_ok()) {
    return {Code::kConfig, "store.mongo_ca_file: " + status.message()};
  }
  if (mongoc_uri_has_option(uri, MONGOC_URI_TLS) && !mongoc_uri_get_tls(uri)) {
    return bad_uri("says tls=false, but store.mongo_ca_file is given");
  }
  mongoc_uri_set_option_as_bool(uri, MONGOC_URI_TLS, true);
  mongoc_uri_set_option_as_utf8(uri, MONGOC_URI_TLSCAFILE, ca_file.c_str());
  return Status::ok();
}

const MongoClientOptions& options_of(void* context) {
  return *static_cast<const MongoClientOptions*>(context);
}

void command_succeeded(const mongoc_apm_command_succeeded_t* event) {
  options_of(mongoc_apm_command_succeeded_get_context(event))
      .observe(mongoc_apm_command_succeeded_get_command_name(event),
               static_cast<double>(mongoc_apm_command_succeeded_get_duration(event)) / 1e6, true);
}

void command_failed(const mongoc_apm_command_failed_t* event) {
  options_of(mongoc_apm_command_failed_get_context(event))
      .observe(mongoc_apm_command_failed_get_command_name(event),
               static_cast<double>(mongoc_apm_command_failed_get_duration(event)) / 1e6, false);
}

void observe_commands(mongoc_client_pool_t* pool, const MongoClientOptions& options) {
  mongoc_apm_callbacks_t* const callbacks = mongoc_apm_callbacks_new();
  mongoc_apm_set_command_succeeded_cb(callbacks, command_succeeded);
  mongoc_apm_set_command_failed_cb(callbacks, command_failed);
  mongoc_client_pool_set_apm_callbacks(pool, callbacks, const_cast<MongoClientOptions*>(&options));
  mongoc_apm_callbacks_destroy(callbacks);
}

}  // namespace

Result<std::unique_ptr<MongoClients>> MongoClients::open(MongoClientOptions options) {
  initialise_library();
  if (!options.uri.starts_with("mongodb://") && !options.uri.starts_with("mongodb+srv://")) {
    return bad_uri("expected mongodb://HOST:PORT/ or mongodb+srv://NAME/");
  }
  bson_error_t error;
  UriPtr uri(read_uri(options.uri, error));
  if (uri == nullptr) {
    return bad_uri(fmt::format("{} ({})", without_quotes(error.message), kEscapes));
  }
  // The library ends the password at its first '@'; the rest of it must not be shown as a host.
  if (hosts_of(uri.get()).find('@') != std::string::npos) {
    return bad_uri(fmt::format("there is an '@' in the host's name ({})", kEscapes));
  }
  if (Status bad = check_tls_files(uri.get()); !bad.is_ok()) return bad;
  if (Status bad = set_ca_file(uri.get(), options.ca_file); !bad.is_ok()) return bad;
  set_defaults(uri.get(), options);
  return std::unique_ptr<MongoClients>(new MongoClients(std::move(options), std::move(uri)));
}

MongoClients::MongoClients(MongoClientOptions options, UriPtr uri)
    : options_(std::move(options)), uri_(std::move(uri)), hosts_(hosts_of(uri_.get())) {}

MongoClients::~MongoClients() {
  if (pool_ != nullptr) mongoc_client_pool_destroy(pool_);
}

Result<mongoc_client_pool_t*> MongoClients::pool() {
  const std::lock_guard lock(mutex_);
  if (pool_ != nullptr) return pool_;
  bson_error_t error;
  pool_ = mongoc_client_pool_new_with_error(uri_.get(), &error);
  if (pool_ == nullptr) return to_status(error, hosts_);
  mongoc_client_pool_set_error_api(pool_, MONGOC_ERROR_API_VERSION_2);
  if (options_.observe) observe_commands(pool_, options_);
  return pool_;
}

Result<MongoClients::Lease> MongoClients::take() {
  const Result<mongoc_client_pool_t*> pool = this->pool();
  if (!pool) return pool.status();
  mongoc_client_t* const client = mongoc_client_pool_pop(*pool);
  if (client != nullptr) return Lease(*pool, client);
  return Status(
      Code::kOverloaded,
      fmt::format("MongoDB at {}: all connections are in use (store.mongo_connections_max)",
                  hosts_));
}

}  // namespace ca4::store
