// `ca4 produce` with an admin port.
#include <filesystem>
#include <system_error>
#include <utility>

#include "cli/admin.h"
#include "cli/produce.h"
#include "cli/producer_metrics.h"
#include "ops/metrics.h"

namespace ca4::cli {
namespace {

// Beside the pipeline that runs there. The producer itself has no data, and makes no folder for it.
std::string place_of_address(const config::Settings& settings) {
  std::error_code ignored;
  const bool is_there = std::filesystem::is_directory(settings.data_dir, ignored);
  return is_there ? admin_dir(settings) : "";
}

class AdminWatch final : public RunWatch {
 public:
  explicit AdminWatch(const RunView& view)
      : metrics_(CA4_VERSION, "produce"), transport_(view.transport, metrics_.registry()) {
    add_producer_metrics(metrics_, view.images, view.progress,
                         [&monitor = view.monitor] { return monitor.hardware_json(); });
  }

  Status open(const config::Settings& settings) {
    Result<std::unique_ptr<admin::AdminPort>> port =
        open_admin(settings, "produce",
                   {.metrics = [this] { return metrics_.text(); },
                    .ready = [this] { return transport_.last(); }},
                   place_of_address(settings));
    if (!port) return port.status();
    port_ = std::move(*port);
    return Status::ok();
  }

  producer::Transport& transport() override { return transport_; }

 private:
  ops::Metrics metrics_;
  CountedTransport transport_;
  std::unique_ptr<admin::AdminPort> port_;  // last: it asks the others
};

Result<std::unique_ptr<RunWatch>> watch_run(const RunView& view) {
  auto watch = std::make_unique<AdminWatch>(view);
  if (Status bad = watch->open(view.settings); !bad.is_ok()) return bad;
  return std::unique_ptr<RunWatch>(std::move(watch));
}

}  // namespace

std::unique_ptr<Subcommand> make_watched_produce() {
  return make_produce_with(watch_run);
}

}  // namespace ca4::cli
