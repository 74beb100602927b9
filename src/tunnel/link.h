// One supervised program and the forwards it carries: started, looked after through its forwards,
// ended when it is stuck, started again with growing pauses.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/child_process.h"
#include "base/stop_signal.h"
#include "config/forwards.h"
#include "tunnel/board.h"
#include "tunnel/diagnosis.h"

namespace ca4::tunnel {

struct LinkLimits {
  int64_t check_interval_ms = 5'000;
  int64_t check_timeout_ms = 3'000;
  // A program that has not opened its local ports by then is stuck.
  int64_t connect_timeout_ms = 30'000;
  // Rounds without any answer through any forward, after which the program counts as stuck: one
  // round lost with a packet or two is no reason to cut everybody's connections.
  int silent_rounds_max = 3;
  BackoffLimits backoff{.min_ms = 500, .max_ms = 30'000};
};

struct LinkSpec {
  size_t number = 0;  // on the board
  std::vector<std::string> argv;
  std::vector<config::Forward> forwards;
  std::vector<size_t> forward_numbers;  // on the board, one a forward
  // What the program's last words and its end mean.
  std::function<Diagnosis(std::string_view output, std::string_view ended)> diagnose;
};

class Link {
 public:
  // The board must outlive the link.
  Link(LinkSpec spec, const LinkLimits& limits, Board& board);

  // Works until `stop`; then the program has ended. Returns earlier, with the problem, when a
  // person has to act and nothing has ever come through; once it has worked, it goes on trying:
  // a bastion that starts refuses us for a while, too. Belongs to one thread.
  std::optional<Diagnosis> run();

  // From any thread.
  void stop();

 private:
  // How one run of the program ended: a problem, or none when told to stop.
  std::optional<Diagnosis> run_once();
  std::optional<Diagnosis> watch(ChildProcess& child);
  // Asks through each forward and puts the answers on the board.
  struct Round {
    bool open = false;      // a local port accepted
    bool answered = false;  // by anybody, the bastion's refusal included: the program works
  };
  Round ask_all(ChildProcess& child, bool opened);
  std::vector<Answer> ask_each() const;
  // Finds out why nobody is at the far side of a forward.
  void explain(ChildProcess& child, size_t forward, Answer& answer) const;
  void adopt(ChildProcess* child);

  const LinkSpec spec_;
  const LinkLimits limits_;
  Board& board_;
  StopSignal stop_;
  bool ever_answered_ = false;
  // How often in a row the program was ended as stuck: each time it gets twice the rounds, so that
  // a far side that is silent for hours does not make us cut the link every few seconds.
  int stuck_in_a_row_ = 0;
  int64_t answered_for_ms_ = 0;  // how long the last run was up
  std::mutex mutex_;
  ChildProcess* child_ = nullptr;  // guarded by mutex_
};

}  // namespace ca4::tunnel
