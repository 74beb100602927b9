// Reads a Kafka topic for nobody. Internal to the Kafka log.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "log/event_log.h"
#include "log/kafka_client.h"
#include "log/kafka_options.h"
#include "log/kafka_queue.h"
#include "log/kafka_watch.h"

namespace ca4::log {

// No group knows of it. The partitions are those there were when it was opened.
class KafkaScan final : public Consumer {
 public:
  // Reads each partition from its offset on. `watch` tells of brokers that are away.
  static Result<std::unique_ptr<KafkaScan>> open(const KafkaOptions& options,
                                                 std::map<int32_t, int64_t> from,
                                                 std::shared_ptr<KafkaWatch> watch);
  ~KafkaScan() override;

  // Fails for good where what comes is damaged: what is behind it is not known to be next.
  Result<std::vector<Record>> poll(const PollLimits& limits) override;
  Status commit(const std::vector<Position>& next) override;
  Status rewind() override;
  void interrupt() override;
  std::optional<int64_t> end_seen(int32_t partition) const override;

 private:
  KafkaScan(const KafkaOptions& options, std::map<int32_t, int64_t> from,
            std::shared_ptr<KafkaWatch> watch);

  Status start();
  void stop();

  const KafkaOptions options_;
  const std::map<int32_t, int64_t> from_;
  const std::shared_ptr<KafkaWatch> watch_;
  OwnedClient client_;
  TopicHandle topic_;
  std::unique_ptr<KafkaQueue> queue_;
  std::map<int32_t, int64_t> ends_seen_;
  Status damaged_;
  std::atomic<bool> interrupted_ = false;
};

}  // namespace ca4::log
