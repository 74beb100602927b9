// `ca4 config`: the effective configuration, or a check of a file.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/common.h"
#include "cli/subcommand.h"
#include "config/render.h"

namespace ca4::cli {
namespace {

class Config final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    // The producer's own flags repeat names of the processor's (--token-file): file or environment.
    using config::Section;
    flags_.add(app, {Section::kGeneral, Section::kProcessor, Section::kLog, Section::kKafka,
                     Section::kWorker, Section::kArchive, Section::kStore, Section::kTunnel,
                     Section::kAdmin, Section::kLogging});
    add_format(app, format_, {"table", "json", "toml"});
    app.add_option("--doc", doc_, "print the documentation of every setting instead")
        ->type_name("markdown")
        ->check(one_of({"markdown"}));
    app.require_subcommand(0, 1);
    validate_ = app.add_subcommand("validate", "check a file and say what is wrong with it");
    validate_->add_option("FILE", file_, "TOML file of settings")->required();
  }

  int run() override {
    if (validate_->parsed()) return validate();
    if (!doc_.empty()) {
      fmt::print("{}", config::render_markdown());
      return 0;
    }
    const Result<config::Loaded> loaded = flags_.load_all();
    if (!loaded) return report("config", loaded.status());
    fmt::print("{}", render(*loaded));
    return report("config", loaded->status());
  }

 private:
  std::string render(const config::Loaded& loaded) const {
    if (format_ == "json") return config::render_json(loaded);
    if (format_ == "toml") return config::render_toml(loaded);
    return config::render_table(loaded);
  }

  // The file alone: neither variables nor flags can make it right or wrong.
  int validate() const {
    config::Sources sources;
    sources.file = file_;
    Result<std::string> text = config::read_file(file_);
    if (!text) return report("config", text.status());
    sources.file_text = std::move(*text);
    const config::Loaded loaded = config::load(sources);
    if (loaded.problems.empty()) fmt::print("{}: ok\n", file_);
    return report("config", loaded.status());
  }

  SettingsFlags flags_;
  std::string format_ = "table";
  std::string doc_;
  CLI::App* validate_ = nullptr;
  std::string file_;
};

}  // namespace

std::unique_ptr<Subcommand> make_config() {
  return std::make_unique<Config>();
}

}  // namespace ca4::cli
