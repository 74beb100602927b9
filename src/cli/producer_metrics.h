// What a run of the producer shows on its admin port.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "ops/metrics.h"
#include "producer/pipeline.h"
#include "producer/transport.h"

namespace ca4::cli {

// ca4_producer_images_total, ca4_producer_given_images and ca4_producer_pending_images from
// `progress`, and ca4_gpu_* from `hardware_json` (see producer::GpuMonitor), which is asked at each
// scrape. Both must outlive `metrics`. Call before the first scrape.
void add_producer_metrics(ops::Metrics& metrics, size_t images, const producer::Progress& progress,
                          std::function<std::string()> hardware_json);

// Sends through another transport and counts: ca4_producer_requests_total{code} and
// ca4_producer_request_seconds. Thread-safe.
class CountedTransport final : public producer::Transport {
 public:
  // Both must outlive this object.
  CountedTransport(producer::Transport& inner, prometheus::Registry& registry);

  Result<producer::Reply> post(std::string_view path, std::string_view content_type,
                               std::string_view body) override;
  // Not counted: no image depends on it.
  Result<producer::Reply> get(std::string_view path) override { return inner_.get(path); }

  // Ok until a request fails, and again when the next one was answered with success.
  Status last() const;

 private:
  producer::Transport& inner_;
  prometheus::Registry& registry_;
  mutable std::mutex mutex_;
  Status last_;  // guarded by mutex_
};

}  // namespace ca4::cli
