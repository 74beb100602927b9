// `ca4 metrics`: the names that dashboards and alerts are made of.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/common.h"
#include "cli/subcommand.h"
#include "ops/metric_table.h"

namespace ca4::cli {
namespace {

class MetricNames final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    app.add_option("--doc", doc_, "print the documentation of every metric instead")
        ->type_name("markdown")
        ->check(one_of({"markdown"}));
  }

  int run() override {
    if (!doc_.empty()) {
      fmt::print("{}", ops::metrics_markdown());
      return 0;
    }
    for (const ops::MetricSection& section : ops::metric_table()) {
      for (const ops::MetricRow& row : section.rows) {
        const std::string labels = row.labels.empty() ? "" : fmt::format("{{{}}}", row.labels);
        fmt::print("{:<52} {:<9}  {}\n", fmt::format("{}{}", row.name, labels),
                   ops::name_of(row.kind), row.help);
      }
    }
    return 0;
  }

 private:
  std::string doc_;
};

}  // namespace

std::unique_ptr<Subcommand> make_metrics() {
  return std::make_unique<MetricNames>();
}

}  // namespace ca4::cli
