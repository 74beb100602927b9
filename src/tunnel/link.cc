#include "tunnel/link.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>

#include "tunnel/probe.h"

namespace ca4::tunnel {
namespace {

using Kind = Answer::Kind;

// How often a program is looked at whether it still runs, and until it is connected, asked.
constexpr int64_t kStepMs = 100;
// How long a program may take to say goodbye to the bastion.
constexpr int kStopGraceMs = 2'000;
// Pauses begin anew only after a run that lasted: one that always dies at once must not come back
// twice a second for ever.
constexpr int64_t kSettledMs = 10'000;
constexpr int kPatienceDoublingsMax = 4;

int64_t steady_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

// Whether a local port can be listened on now. ssh would say so too, but not which of several.
std::optional<Diagnosis> refused_port(const config::Forward& forward) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::nullopt;
  const int reuse = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(forward.local_port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool ok = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                  ::listen(fd, 1) == 0;
  const int error = errno;
  ::close(fd);
  if (ok) return std::nullopt;
  return local_port_refused(forward.local_port, std::strerror(error));
}

}  // namespace

Link::Link(LinkSpec spec, const LinkLimits& limits, Board& board)
    : spec_(std::move(spec)), limits_(limits), board_(board) {}

std::optional<Diagnosis> Link::run() {
  std::random_device seed;
  Backoff backoff(limits_.backoff, seed());
  while (!stop_.requested()) {
    const std::optional<Diagnosis> problem = run_once();
    if (!problem) break;
    if (problem->needs_person && !ever_answered_) return problem;
    if (answered_for_ms_ >= kSettledMs) backoff = Backoff(limits_.backoff, seed());
    const int64_t pause_ms = backoff.next_ms();
    board_.waiting(spec_.number, *problem, pause_ms);
    if (!stop_.wait_ms(pause_ms)) break;
  }
  return std::nullopt;
}

void Link::stop() {
  stop_.request();
  // Also ends a question that waits for an answer.
  const std::lock_guard lock(mutex_);
  if (child_ != nullptr) child_->end();
}

void Link::adopt(ChildProcess* child) {
  const std::lock_guard lock(mutex_);
  child_ = child;
}

std::optional<Diagnosis> Link::run_once() {
  answered_for_ms_ = 0;
  for (const config::Forward& forward : spec_.forwards) {
    if (std::optional<Diagnosis> refused = refused_port(forward)) return refused;
  }
  board_.connecting(spec_.number);
  Result<std::unique_ptr<ChildProcess>> child = ChildProcess::start(spec_.argv);
  if (child.status().code() == Code::kNotFound) return program_missing(spec_.argv[0]);
  if (!child) return Diagnosis{child.status().message(), "", false};
  adopt(child->get());
  std::optional<Diagnosis> problem = watch(**child);
  adopt(nullptr);
  (*child)->stop(kStopGraceMs);
  return problem;
}

// All at once: one that is silent must not keep the others from being asked.
std::vector<Answer> Link::ask_each() const {
  std::vector<Answer> answers(spec_.forwards.size());
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < answers.size(); ++i) {
    threads.emplace_back(
        [&, i] { answers[i] = ask_through(spec_.forwards[i], limits_.check_timeout_ms); });
  }
  threads.clear();
  return answers;
}

// Asked again, alone: what ssh says meanwhile is about this forward, unless somebody else uses one
// that can't be reached at the same moment.
void Link::explain(ChildProcess& child, size_t forward, Answer& answer) const {
  (void)child.news();
  const Answer again = ask_through(spec_.forwards[forward], limits_.check_timeout_ms);
  const std::string why = channel_refusal(child.news());
  if (again.kind != Kind::kCutOff) {
    answer = again;
    return;
  }
  answer.detail = "the other end of the tunnel can't reach it";
  if (!why.empty()) answer.detail += ": " + why;
}

Link::Round Link::ask_all(ChildProcess& child, bool opened) {
  // Before the program has logged in nobody listens: one question says so.
  if (!opened && ask_through(spec_.forwards[0], limits_.check_timeout_ms).kind == Kind::kNoEntry) {
    return {};
  }
  Round round;
  std::vector<Answer> answers = ask_each();
  for (size_t i = 0; i < answers.size() && !stop_.requested(); ++i) {
    if (answers[i].kind == Kind::kCutOff) explain(child, i, answers[i]);
  }
  if (stop_.requested() || child.ended()) return {};
  for (const Answer& answer : answers) {
    const bool accepted = answer.kind != Kind::kNoEntry;
    round.open = round.open || accepted;
    round.answered = round.answered || (accepted && answer.kind != Kind::kSilent);
  }
  if (round.answered) board_.connected(spec_.number);
  for (size_t i = 0; i < answers.size(); ++i) {
    board_.answered(spec_.forward_numbers[i], answers[i]);
  }
  return round;
}

std::optional<Diagnosis> Link::watch(ChildProcess& child) {
  const int64_t began_ms = steady_ms();
  int64_t first_answer_ms = 0;
  int64_t next_check_ms = began_ms;
  int silent_rounds = 0;
  bool opened = false;
  const int patience = limits_.silent_rounds_max
                       << std::min(stuck_in_a_row_, kPatienceDoublingsMax);
  while (stop_.wait_ms(kStepMs)) {
    if (const auto ended = child.ended()) {
      if (first_answer_ms > 0) answered_for_ms_ = steady_ms() - first_answer_ms;
      return stop_.requested() ? std::nullopt
                               : std::optional(spec_.diagnose(child.output(), *ended));
    }
    if (steady_ms() < next_check_ms) continue;
    const Round round = ask_all(child, opened);
    const int64_t now_ms = steady_ms();
    const bool was_open = opened;
    opened = opened || round.open;
    next_check_ms = now_ms + (opened ? limits_.check_interval_ms : kStepMs);
    if (round.answered) {
      if (first_answer_ms == 0) first_answer_ms = now_ms;
      ever_answered_ = true;
      stuck_in_a_row_ = silent_rounds = 0;
      board_.refresh();
    } else if (was_open && ++silent_rounds >= patience) {
      ++stuck_in_a_row_;
      if (first_answer_ms > 0) answered_for_ms_ = now_ms - first_answer_ms;
      return Diagnosis{fmt::format("no answer through any forward in {} checks", patience), "",
                       false};
    } else if (!opened && now_ms - began_ms > limits_.connect_timeout_ms) {
      return Diagnosis{fmt::format("{} opened no port in {} s", spec_.argv[0],
                                   limits_.connect_timeout_ms / 1000),
                       "", false};
    }
  }
  return std::nullopt;
}

}  // namespace ca4::tunnel
