#include "tunnel/board.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

namespace ca4::tunnel {
namespace {

using Kind = Answer::Kind;

std::string from_here(const config::Forward& forward) {
  return fmt::format("127.0.0.1:{} -> {}", forward.local_port, forward.target());
}

}  // namespace

bool View::healthy() const {
  return std::all_of(forwards.begin(), forwards.end(),
                     [](const ForwardView& forward) { return forward.healthy(); });
}

Board::Board(const Clock& clock, std::vector<std::string> links,
             const std::vector<std::pair<config::Forward, size_t>>& forwards,
             std::function<void(const View&)> changed)
    : clock_(clock), changed_(std::move(changed)), last_logged_(links.size()) {
  const int64_t now_us = clock_.now_us();
  view_.pid = getpid();
  view_.started_us = now_us;
  for (std::string& name : links) {
    LinkView& link = view_.links.emplace_back();
    link.name = std::move(name);
    link.since_us = now_us;
  }
  for (const auto& [forward, link] : forwards) {
    view_.forwards.push_back({.forward = forward, .link = link, .answer = {}, .since_us = now_us});
  }
}

void Board::publish() {
  view_.written_us = clock_.now_us();
  changed_(view_);
}

void Board::connecting(size_t link) {
  const std::lock_guard lock(mutex_);
  LinkView& of = view_.links[link];
  if (of.state == LinkState::kWaiting) ++of.restarts;
  of.state = LinkState::kConnecting;
  of.since_us = clock_.now_us();
  publish();
}

void Board::connected(size_t link) {
  const std::lock_guard lock(mutex_);
  LinkView& of = view_.links[link];
  if (of.state == LinkState::kConnected) return;
  of.state = LinkState::kConnected;
  of.since_us = clock_.now_us();
  of.problem = {};
  last_logged_[link].clear();
  spdlog::info("tunnel: {} is up", of.name);
  publish();
}

void Board::waiting(size_t link, const Diagnosis& problem, int64_t pause_ms) {
  const std::lock_guard lock(mutex_);
  LinkView& of = view_.links[link];
  of.state = LinkState::kWaiting;
  of.since_us = clock_.now_us();
  of.problem = problem;
  for (ForwardView& forward : view_.forwards) {
    if (forward.link != link) continue;
    if (forward.answer.kind != Kind::kNoEntry) forward.since_us = of.since_us;
    forward.answer = {};
  }
  log_problem(link, problem, pause_ms);
  publish();
}

// The same problem again is no change.
void Board::log_problem(size_t link, const Diagnosis& problem, int64_t pause_ms) {
  if (problem.what == last_logged_[link]) return;
  last_logged_[link] = problem.what;
  const std::string todo = problem.fix.empty() ? "" : "; what to do: " + problem.fix;
  spdlog::warn("tunnel: {} is down: {}; trying again in {:.1f} s, and on{}", view_.links[link].name,
               problem.what, static_cast<double>(pause_ms) / 1000, todo);
}

void Board::answered(size_t forward, const Answer& answer) {
  const std::lock_guard lock(mutex_);
  ForwardView& of = view_.forwards[forward];
  const Answer before = of.answer;
  const bool changes = before.kind != answer.kind || before.detail != answer.detail;
  if (before.kind != answer.kind) of.since_us = clock_.now_us();
  of.answer = answer;
  if (!changes) return;
  log_answer(of, before);
  publish();
}

void Board::log_answer(const ForwardView& forward, const Answer& before) const {
  const Answer& now = forward.answer;
  if (now.kind == Kind::kHealthy && before.kind != Kind::kHealthy) {
    spdlog::info("tunnel: {} is healthy: {} ({:.0f} ms)", from_here(forward.forward), now.detail,
                 static_cast<double>(now.took_us) / 1000);
  } else if (now.kind != Kind::kHealthy && now.kind != Kind::kNoEntry) {
    spdlog::warn("tunnel: {} is unhealthy: {}", from_here(forward.forward), now.detail);
  }
}

void Board::refresh() {
  const std::lock_guard lock(mutex_);
  publish();
}

}  // namespace ca4::tunnel
