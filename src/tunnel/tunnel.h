// A tunnel into a private network: links that keep its forwards up, one for all of them (ssh) or
// one each (SSM).
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "config/forwards.h"
#include "tunnel/board.h"
#include "tunnel/command.h"
#include "tunnel/link.h"

namespace ca4::tunnel {

struct TunnelOptions {
  std::vector<config::Forward> forwards;
  std::optional<SshOptions> ssh;  // one of the two
  std::optional<SsmOptions> ssm;
  LinkLimits limits;
};

class Tunnel {
 public:
  // Starts at once, a thread a link. The clock must outlive the tunnel; `changed` is the board's.
  Tunnel(const TunnelOptions& options, const Clock& clock,
         std::function<void(const View&)> changed);
  ~Tunnel();

  // Why a link gave up, once one has: somebody has to act before the tunnel can ever work.
  std::optional<Diagnosis> gave_up();

  // Ends all programs and waits for their end. Idempotent.
  void stop();

 private:
  void start_link(LinkSpec spec, const LinkLimits& limits);

  std::unique_ptr<Board> board_;
  std::vector<std::unique_ptr<Link>> links_;
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::optional<Diagnosis> gave_up_;  // guarded by mutex_
};

// The value of kafka.broker_map for these forwards: the names that brokers advertise, and where a
// tunnel brings them out here: "kafka:9092=127.0.0.1:9092,...". Empty without a Kafka forward.
std::string broker_map(const std::vector<config::Forward>& forwards);

}  // namespace ca4::tunnel
