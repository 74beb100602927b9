// `ca4 db`: what an operator does to the MongoDB-compatible server that holds the documents.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "cli/mongo_ports.h"
#include "cli/query_print.h"
#include "cli/subcommand.h"
#include "ops/logging.h"
#include "store/mongo_admin.h"

namespace ca4::cli {
namespace {

// Building an index over millions of documents takes its time.
constexpr int64_t kIndexTimeoutMs = 3'600'000;

class Db final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    flags_.add(app, {config::Section::kStore, config::Section::kLogging});
    app.add_flag("--json", json_, "one JSON object instead of lines");
    app.require_subcommand(1);
    ensure_ =
        add_command(app, "ensure", "make the indexes that queries use, where they are missing");
    ping_ = add_command(app, "ping", "whether the server answers, how fast, and what it is");
    app.footer("The server is the one that MONGO_URI names. Nothing else ever makes an index.");
  }

  int run() override {
    const Result<config::Settings> settings = flags_.load();
    if (!settings) return report("db", settings.status());
    const Status logging = ops::setup_logging(settings->logging.level, settings->logging.format);
    if (!logging.is_ok()) return report("db", logging);
    if (settings->store.mongo_uri.empty()) {
      return report("db", {Code::kConfig,
                           "MONGO_URI (store.mongo_uri) is not set: the embedded store needs no "
                           "set-up and has its own indexes"});
    }
    const SystemClock clock;
    const Site site{*settings, clock};
    return ensure_->parsed() ? report("db ensure", ensure(site)) : report("db ping", ping(site));
  }

 private:
  static Result<std::unique_ptr<store::MongoAdmin>> open(const Site& site,
                                                         const store::MongoClientOptions& options) {
    const config::Store& store = site.settings.store;
    return store::MongoAdmin::open(options, store.database, store.collection);
  }

  Status ensure(const Site& site) const {
    store::MongoClientOptions options = mongo_client_options(site);
    options.socket_timeout_ms = kIndexTimeoutMs;
    const auto admin = open(site, options);
    if (!admin) return admin.status();
    const auto ensured = (*admin)->ensure_indexes();
    if (!ensured) return ensured.status();
    const config::Store& store = site.settings.store;
    Output output;
    nlohmann::ordered_json indexes = nlohmann::ordered_json::array();
    for (const auto& [index, created] : *ensured) {
      indexes.push_back({{"name", index.name},
                         {"keys", nlohmann::ordered_json::parse(index.keys)},
                         {"created", created}});
      if (json_) continue;
      output.write(fmt::format("{:9} {:16} {:43} for {}\n", created ? "created" : "was there",
                               index.name, index.keys, index.why));
    }
    if (json_) {
      const nlohmann::ordered_json all = {
          {"database", store.database}, {"collection", store.collection}, {"indexes", indexes}};
      output.write(all.dump() + "\n");
    }
    return output.finish();
  }

  Status ping(const Site& site) const {
    const auto admin = open(site, mongo_client_options(site));
    if (!admin) return admin.status();
    const Result<store::MongoServerInfo> info = (*admin)->server_info();
    if (!info) return info.status();
    const config::Store& store = site.settings.store;
    Output output;
    if (json_) {
      const nlohmann::ordered_json all = {{"hosts", info->hosts},
                                          {"version", info->version},
                                          {"ping_ms", info->ping_seconds * 1e3},
                                          {"database", store.database},
                                          {"collection", store.collection}};
      output.write(all.dump() + "\n");
    } else {
      output.write(fmt::format("MongoDB {} at {} answers in {:.1f} ms; documents are in {}.{}\n",
                               info->version, info->hosts, info->ping_seconds * 1e3, store.database,
                               store.collection));
    }
    return output.finish();
  }

  SettingsFlags flags_;
  bool json_ = false;
  CLI::App* ensure_ = nullptr;
  CLI::App* ping_ = nullptr;
};

}  // namespace

std::unique_ptr<Subcommand> make_db() {
  return std::make_unique<Db>();
}

}  // namespace ca4::cli
