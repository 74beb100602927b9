// `ca4 up`, `ca4 serve`, `ca4 work`: one service in different roles.
#include <utility>
#include <vector>

#include "cli/common.h"
#include "cli/door.h"
#include "cli/service.h"
#include "cli/subcommand.h"

namespace ca4::cli {
namespace {

using config::Section;

class Service final : public Subcommand {
 public:
  Service(const char* name, Roles roles, std::vector<Section> sections)
      : name_(name), roles_(roles), sections_(std::move(sections)) {}

  void define(CLI::App& app) override { flags_.add(app, sections_); }

  int run() override {
    Result<config::Settings> settings = flags_.load();
    if (!settings) return report(name_, settings.status());
    if (roles_.accepts) {
      if (Status bad = prepare_door(*settings); !bad.is_ok()) return report(name_, bad);
    }
    return run_service(name_, *settings, roles_);
  }

 private:
  const char* name_;
  const Roles roles_;
  const std::vector<Section> sections_;
  SettingsFlags flags_;
};

}  // namespace

// The whole pipeline in one process: processor, event log, worker, store and archive.
std::unique_ptr<Subcommand> make_up() {
  return std::make_unique<Service>(
      "up", Roles{.accepts = true, .works = true},
      std::vector{Section::kGeneral, Section::kProcessor, Section::kLog, Section::kKafka,
                  Section::kWorker, Section::kArchive, Section::kStore, Section::kAdmin,
                  Section::kLogging});
}

// HTTP in front of the event log; `ca4 work` beside it does the rest. The page reads its store.
std::unique_ptr<Subcommand> make_serve() {
  return std::make_unique<Service>(
      "serve", Roles{.accepts = true, .works = false},
      std::vector{Section::kGeneral, Section::kProcessor, Section::kLog, Section::kKafka,
                  Section::kArchive, Section::kStore, Section::kAdmin, Section::kLogging});
}

// From the event log of `ca4 serve` to the store and the archive.
std::unique_ptr<Subcommand> make_work() {
  return std::make_unique<Service>(
      "work", Roles{.accepts = false, .works = true},
      std::vector{Section::kGeneral, Section::kLog, Section::kKafka, Section::kWorker,
                  Section::kArchive, Section::kStore, Section::kAdmin, Section::kLogging});
}

}  // namespace ca4::cli
