#include "top/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "http/fetch.h"

namespace ca4::top {
namespace {

double steady_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Far more than a process has series.
constexpr size_t kScrapeBytesMax = 8U << 20;

// Short, since it stands behind an address.
std::string why_silent(const http::FetchOutcome& outcome) {
  switch (outcome.why) {
    case http::NoAnswer::kUnresolved:
      return "unknown host";
    case http::NoAnswer::kRefused:
      return "nobody listens there";
    case http::NoAnswer::kCutOff:
      return "hung up";
    case http::NoAnswer::kSilent:
      return "too slow, or gone";
    case http::NoAnswer::kTls:
    case http::NoAnswer::kOther:
      break;
  }
  return outcome.message;
}

// The detail of a problem; empty where the answer is none.
std::string detail_of(const std::string& body) {
  const auto problem = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  const bool told = problem.is_object() && problem.contains("detail");
  return told && problem["detail"].is_string() ? problem["detail"].get<std::string>() : "";
}

std::string refusal(const http::Fetched& answer) {
  const std::string detail = detail_of(answer.body);
  return fmt::format("/metrics is answered {}{}{}", answer.status, detail.empty() ? "" : ": ",
                     detail);
}

}  // namespace

class Watch::Target {
 public:
  Target(std::string name, std::string address, const WatchOptions& options)
      : options_(options), begun_s_(steady_s()) {
    process_.name = std::move(name);
    process_.address = std::move(address);
    thread_ = std::jthread([this](const std::stop_token& stop) { look_again(stop); });
  }

  std::string address() const { return process_.address; }

  Process process() const {
    const std::scoped_lock lock(mutex_);
    Process out = process_;
    if (!out.trouble.empty()) out.silent_s = steady_s() - answered_s_.value_or(begun_s_);
    return out;
  }

 private:
  void look_again(const std::stop_token& stop) {
    std::mutex unused;
    std::condition_variable_any wake;
    std::unique_lock lock(unused);
    while (!stop.stop_requested()) {
      const auto next =
          std::chrono::steady_clock::now() + std::chrono::milliseconds(options_.interval_ms);
      look();
      wake.wait_until(lock, stop, next, [] { return false; });
    }
  }

  void look() {
    const http::FetchOutcome metrics = ask("/metrics");
    if (!metrics.answer) return note_trouble(why_silent(metrics));
    if (metrics.answer->status != 200) {
      return note_trouble(refusal(*metrics.answer));
    }
    const http::FetchOutcome ready = ask("/readyz");
    Scrape scrape = Scrape::parse(metrics.answer->body);
    const double now_s = steady_s();
    const std::scoped_lock lock(mutex_);
    process_.trouble.clear();
    process_.not_ready.clear();
    // A processor that only serves /metrics somewhere has no such path there.
    const bool refused = ready.answer && ready.answer->status == 503;
    if (refused) {
      const std::string detail = detail_of(ready.answer->body);
      process_.not_ready = detail.empty() ? ready.answer->body : detail;
    }
    if (!ready.answer) process_.not_ready = "/readyz: " + why_silent(ready);
    answered_s_ = now_s;
    process_.window.push_back({now_s, std::move(scrape)});
    const double from_s = now_s - static_cast<double>(options_.window_ms) / 1e3;
    while (process_.window.size() > 2 && process_.window.front().t_s < from_s) {
      process_.window.pop_front();
    }
  }

  http::FetchOutcome ask(const std::string& path) const {
    return http::fetch({.url = process_.address + path,
                        .timeout_ms = options_.timeout_ms,
                        .answer_bytes_max = kScrapeBytesMax});
  }

  void note_trouble(const std::string& why) {
    const std::scoped_lock lock(mutex_);
    process_.trouble = why;
    process_.window.clear();
  }

  const WatchOptions options_;
  const double begun_s_;
  mutable std::mutex mutex_;
  Process process_;                   // guarded by mutex_, but for name and address
  std::optional<double> answered_s_;  // guarded by mutex_
  std::jthread thread_;
};

Watch::Watch(WatchOptions options) : options_(options) {}
Watch::~Watch() = default;

void Watch::add(const std::string& name, const std::string& address) {
  const bool known = std::ranges::any_of(
      targets_, [&](const auto& target) { return target->address() == address; });
  if (known) return;
  auto target = std::make_unique<Target>(name, address, options_);
  const auto before = std::ranges::find_if(targets_, [&](const auto& other) {
    const Process process = other->process();
    return process.name == name && !process.trouble.empty();
  });
  if (before == targets_.end()) {
    targets_.push_back(std::move(target));
  } else {
    *before = std::move(target);
  }
}

std::vector<Process> Watch::processes() const {
  std::vector<Process> out;
  out.reserve(targets_.size());
  for (const auto& target : targets_) out.push_back(target->process());
  return out;
}

}  // namespace ca4::top
