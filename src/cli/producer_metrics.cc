#include "cli/producer_metrics.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "ops/families.h"

namespace ca4::cli {
namespace {

using Json = nlohmann::json;
using Seconds = std::chrono::duration<double>;
using std::chrono::steady_clock;

constexpr double kMiB = 1 << 20;
constexpr double kHzPerMhz = 1e6;
constexpr double kPercent = 0.01;

// dcgm-exporter's names, which hardware_json has, and ours in base units.
struct GpuRow {
  const char* dcgm;
  const char* name;
  double unit;
};
constexpr GpuRow kGpuRows[] = {
    {"DCGM_FI_DEV_GPU_UTIL", "ca4_gpu_utilization_ratio", kPercent},
    {"DCGM_FI_DEV_MEM_COPY_UTIL", "ca4_gpu_memory_copy_ratio", kPercent},
    {"DCGM_FI_DEV_FB_USED", "ca4_gpu_memory_used_bytes", kMiB},
    {"DCGM_FI_DEV_FB_FREE", "ca4_gpu_memory_free_bytes", kMiB},
    {"DCGM_FI_DEV_GPU_TEMP", "ca4_gpu_temperature_celsius", 1},
    {"DCGM_FI_DEV_POWER_USAGE", "ca4_gpu_power_watts", 1},
    {"DCGM_FI_DEV_SM_CLOCK", "ca4_gpu_sm_clock_hertz", kHzPerMhz},
    {"DCGM_FI_DEV_MEM_CLOCK", "ca4_gpu_memory_clock_hertz", kHzPerMhz},
};

std::string text_of(const Json& device, const char* member) {
  const auto found = device.find(member);
  return found != device.end() && found->is_string() ? found->get<std::string>() : "";
}

// What a driver does not say any more becomes NaN, rather than stay what it was.
class GpuGauges {
 public:
  explicit GpuGauges(prometheus::Registry& registry) : registry_(registry) {}

  void set(const std::string& hardware_json) {
    const Json block = Json::parse(hardware_json, nullptr, /*allow_exceptions=*/false);
    if (!block.is_object()) return;
    const auto several = block.find("devices");
    if (several != block.end() && several->is_array()) {
      for (const Json& device : *several) set_device(device);
    } else if (block.contains("metrics")) {
      set_device(block);
    }
  }

 private:
  void set_device(const Json& device) {
    const auto metrics = device.find("metrics");
    const auto index = device.find("index");
    if (metrics == device.end() || !metrics->is_object() || index == device.end()) return;
    const prometheus::Labels labels = {{"gpu", index->dump()},
                                       {"uuid", text_of(device, "uuid")},
                                       {"name", text_of(device, "name")}};
    for (const GpuRow& row : kGpuRows) {
      const auto value = metrics->find(row.dcgm);
      const bool known = value != metrics->end() && value->is_number();
      prometheus::Gauge*& gauge = gauges_[fmt::format("{} {}", index->dump(), row.name)];
      if (gauge == nullptr && !known) continue;
      if (gauge == nullptr) gauge = &ops::gauges(registry_, row.name).Add(labels);
      gauge->Set(known ? value->get<double>() * row.unit : std::nan(""));
    }
  }

  prometheus::Registry& registry_;
  std::map<std::string, prometheus::Gauge*> gauges_;
};

}  // namespace

void add_producer_metrics(ops::Metrics& metrics, size_t images, const producer::Progress& progress,
                          std::function<std::string()> hardware_json) {
  const auto count = [&metrics](const char* result, const std::atomic<size_t>& value) {
    metrics.counter("ca4_producer_images_total",
                    [&value] { return static_cast<double>(value.load()); }, {{"result", result}});
  };
  count("sent", progress.sent);
  count("already_sent", progress.already_sent);
  count("skipped", progress.skipped);
  metrics.gauge("ca4_producer_given_images", [images] { return static_cast<double>(images); });
  const auto pending = [&metrics](const char* stage, const std::atomic<size_t>& value) {
    metrics.gauge("ca4_producer_pending_images",
                  [&value] { return static_cast<double>(value.load()); }, {{"stage", stage}});
  };
  pending("embed", progress.embedding);
  pending("send", progress.sending);
  const auto gpus = std::make_shared<GpuGauges>(metrics.registry());
  metrics.before_scrape([gpus, ask = std::move(hardware_json)] { gpus->set(ask()); });
}

CountedTransport::CountedTransport(producer::Transport& inner, prometheus::Registry& registry)
    : inner_(inner), registry_(registry) {}

Result<producer::Reply> CountedTransport::post(std::string_view path, std::string_view content_type,
                                               std::string_view body) {
  const auto began = steady_clock::now();
  Result<producer::Reply> reply = inner_.post(path, content_type, body);
  const double took_s = Seconds(steady_clock::now() - began).count();
  // A request is a batch of embeddings: a search by name costs nothing beside it.
  ops::histogram(registry_, "ca4_producer_request_seconds").Observe(took_s);
  ops::counters(registry_, "ca4_producer_requests_total")
      .Add({{"code", reply ? std::to_string(reply->status) : "none"}})
      .Increment();
  const std::scoped_lock lock(mutex_);
  last_ = reply.status();
  if (reply && reply->status >= 300) {
    last_ = {Code::kUnavailable, fmt::format("the processor answers {}", reply->status)};
  }
  return reply;
}

Status CountedTransport::last() const {
  const std::scoped_lock lock(mutex_);
  return last_;
}

}  // namespace ca4::cli
