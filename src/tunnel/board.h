// What a tunnel is doing, for the terminal and for `ca4 tunnel --status`. Each change of state is
// logged once, and nothing else.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "config/forwards.h"
#include "tunnel/diagnosis.h"
#include "tunnel/probe.h"

namespace ca4::tunnel {

enum class LinkState {
  kConnecting,  // the program runs, nothing came through yet
  kConnected,
  kWaiting,  // for the next try
};

struct LinkView {
  std::string name;  // "ssh to bastion.example"
  LinkState state = LinkState::kConnecting;
  Diagnosis problem;  // why it waits; empty when connected
  int64_t since_us = 0;
  uint64_t restarts = 0;
};

struct ForwardView {
  config::Forward forward;
  size_t link = 0;
  // kNoEntry until the link is connected.
  Answer answer;
  int64_t since_us = 0;  // of this kind of answer
  bool healthy() const { return answer.kind == Answer::Kind::kHealthy; }
};

struct View {
  int64_t pid = 0;
  int64_t started_us = 0;
  int64_t written_us = 0;
  std::vector<LinkView> links;
  std::vector<ForwardView> forwards;

  bool healthy() const;
};

// Thread-safe.
class Board {
 public:
  // `changed` gets each new state of the whole, from the thread that brought it, one at a time. The
  // clock must outlive the board.
  Board(const Clock& clock, std::vector<std::string> links,
        const std::vector<std::pair<config::Forward, size_t>>& forwards,
        std::function<void(const View&)> changed);

  void connecting(size_t link);
  void connected(size_t link);
  // The link is down for `pause_ms`; its forwards count as unanswered.
  void waiting(size_t link, const Diagnosis& problem, int64_t pause_ms);
  void answered(size_t forward, const Answer& answer);

  // Gives `changed` the state anew: it is current, though nothing changed.
  void refresh();

 private:
  void publish();
  void log_problem(size_t link, const Diagnosis& problem, int64_t pause_ms);
  void log_answer(const ForwardView& forward, const Answer& before) const;

  const Clock& clock_;
  const std::function<void(const View&)> changed_;
  std::mutex mutex_;
  View view_;                             // guarded by mutex_
  std::vector<std::string> last_logged_;  // a link's newest problem on the terminal; guarded
};

}  // namespace ca4::tunnel
