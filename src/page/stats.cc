#include "page/stats.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <utility>

#include "http/problem.h"
#include "worker/dead_letters.h"

namespace ca4::page {
namespace {

// A page asks each second; several pages cost no more than one every two.
constexpr int64_t kKeepUs = 2'000'000;
constexpr size_t kTrafficSeconds = 60;
constexpr size_t kGpuDocumentsMax = 1000;
// A thousand large ones would take minutes to read; fewer tell as well which GPUs there are.
constexpr size_t kGpuDocumentBytesMax = size_t{16} << 20U;

std::string ready_json(const Status& status) {
  return http::json_string(status.is_ok() ? "ok" : status.message());
}

std::string traffic_json(const ops::Traffic& traffic, int64_t now_us) {
  std::string out = "[";
  for (const ops::TrafficSecond& second : traffic.last(now_us, kTrafficSeconds)) {
    fmt::format_to(
        std::back_inserter(out),
        R"({}{{"t":{},"accepted":{},"refused":{},"failed":{},"p50_ms":{:.3f},"p99_ms":{:.3f}}})",
        out.size() > 1 ? "," : "", second.unix_s, second.accepted, second.refused, second.failed,
        second.p50_ms, second.p99_ms);
  }
  return out + "]";
}

struct Lag {
  int64_t behind = 0;
  int64_t end = 0;
};

Result<Lag> lag_of(log::EventLog& log, const std::string& group) {
  const auto rows = log.lag(group);
  if (!rows) return rows.status();
  Lag sum;
  for (const log::PartitionLag& row : rows.value()) {
    sum.behind += row.lag();
    sum.end += row.end;
  }
  return sum;
}

std::string lag_json(log::EventLog& log, const std::vector<std::string>& groups) {
  std::string out = "{";
  for (const std::string& group : groups) {
    const Result<Lag> lag = lag_of(log, group);
    fmt::format_to(std::back_inserter(out), "{}{}:{}", out.size() > 1 ? "," : "",
                   http::json_string(group), lag ? std::to_string(lag->behind) : "null");
  }
  return out + "}";
}

std::string outbox_json(const log::EventLog& log, int64_t now_us) {
  const std::optional<log::OutboxStatus> outbox = log.outbox();
  if (!outbox) return "null";
  std::string age_s = "null";
  if (outbox->oldest_us) {
    age_s = fmt::format(
        "{:.1f}", static_cast<double>(std::max<int64_t>(now_us - *outbox->oldest_us, 0)) / 1e6);
  }
  return fmt::format(
      R"({{"state":"{}","waiting":{},"age_s":{},"bytes":{},"bytes_max":{},"last_error":{}}})",
      name_of(outbox->state), outbox->waiting_records, age_s, outbox->bytes_used, outbox->bytes_max,
      http::json_string(outbox->last_error));
}

struct GpuCount {
  size_t documents = 0;
  int64_t last_seen_us = 0;
};

Result<std::string> gpus_json(store::DocumentStore& store) {
  std::map<std::string, GpuCount> counts;
  size_t bytes = 0;
  const Status found = store.find(
      {}, {.limit = kGpuDocumentsMax, .newest_first = true, .with_embedding = false},
      [&](const store::Document& document) {
        // Producers without a GPU name their processor; others may only say "cpu".
        GpuCount& count = counts[document.gpu.name.value_or(document.gpu.device.value_or("none"))];
        ++count.documents;
        count.last_seen_us = std::max(count.last_seen_us, document.ingested_at_us);
        bytes += document.extra_json.size() + document.gpu_hardware_json.size() +
                 document.other_json.size();
        return bytes < kGpuDocumentBytesMax;
      });
  if (!found.is_ok()) return found;
  std::vector<std::pair<std::string, GpuCount>> sorted(counts.begin(), counts.end());
  std::ranges::stable_sort(
      sorted, [](const auto& a, const auto& b) { return a.second.documents > b.second.documents; });
  std::string out = "[";
  for (const auto& [name, count] : sorted) {
    fmt::format_to(std::back_inserter(out), R"({}{{"name":{},"documents":{},"last_seen":{:.3f}}})",
                   out.size() > 1 ? "," : "", http::json_string(name), count.documents,
                   static_cast<double>(count.last_seen_us) / 1e6);
  }
  return out + "]";
}

}  // namespace

Stats::Stats(const PageParts& parts, StatsLimits limits)
    : parts_(parts), limits_(limits), started_us_(parts.clock->now_us()) {}

// Asks no more of a store that does not answer: each question may wait for it as long as the last.
Status Stats::measure_store(store::DocumentStore& store, Costly& found) {
  if (Status status = store.ping(); !status.is_ok()) return status;
  const auto documents = store.count({});
  if (!documents) return documents.status();
  found.documents = std::to_string(documents.value());
  const auto gpus = gpus_json(store);
  if (gpus) found.gpus = gpus.value();
  return gpus.status();
}

Stats::Costly Stats::measure() {
  Costly found;
  if (parts_.store != nullptr) {
    asks_store_ = true;
    found.store_ready = ready_json(measure_store(*parts_.store, found));
    asks_store_ = false;
  }
  if (parts_.dead_letters != nullptr) {
    const Result<Lag> lag = lag_of(*parts_.dead_letters, worker::kReplayGroup);
    found.dead_letters_ready = ready_json(lag.status());
    if (lag) {
      found.dead_letters = std::to_string(lag->behind);
      found.dead_letters_total = std::to_string(lag->end);
    }
  }
  return found;
}

void Stats::measure_when_wanted(const std::stop_token& stopped) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stopped, [this] { return wanted_; })) {
    lock.unlock();
    Costly found = measure();
    lock.lock();
    kept_ = std::move(found);
    measured_ = true;
    measured_at_us_ = parts_.clock->now_us();
    wanted_ = false;
    changed_.notify_all();
  }
}

// A thread of its own measures: of a store that is silent, each question waits for seconds.
Stats::Costly Stats::costly(int64_t now_us) {
  std::unique_lock lock(mutex_);
  // A clock that was set back must not freeze the figures.
  if (measured_ && std::abs(now_us - measured_at_us_) < kKeepUs) return kept_;
  if (!measurer_.joinable()) {
    measurer_ =
        std::jthread([this](const std::stop_token& stopped) { measure_when_wanted(stopped); });
  }
  if (!std::exchange(wanted_, true)) wanted_since_ = std::chrono::steady_clock::now();
  changed_.notify_all();
  changed_.wait_for(lock, measured_ ? limits_.patience : limits_.silent,
                    [this] { return !wanted_; });
  return wanted_ ? late() : kept_;
}

// With mutex_ held: what is shown while the measuring takes long.
Stats::Costly Stats::late() const {
  using namespace std::chrono;
  Costly out = kept_;
  const auto waited = steady_clock::now() - wanted_since_;
  if (waited < limits_.silent) return out;
  const int64_t waited_s = duration_cast<seconds>(waited).count();
  (asks_store_ ? out.store_ready : out.dead_letters_ready) =
      http::json_string(fmt::format("no answer for {} s", waited_s));
  return out;
}

std::string Stats::to_json() {
  const int64_t now_us = parts_.clock->now_us();
  const Costly costly = this->costly(now_us);
  const bool has_log = parts_.log != nullptr;
  return fmt::format(
      R"({{"version":{},"uptime_s":{:.1f},"connections":{},"search_by_image":{},"media":{},)"
      R"("traffic":{},"queue_depth":{},"log_ready":{},"lag":{},"outbox":{},)"
      R"("store_ready":{},"documents":{},"gpus":{},"dead_letters_ready":{},"dead_letters":{},)"
      R"("dead_letters_total":{}}})",
      http::json_string(parts_.version),
      static_cast<double>(std::max<int64_t>(now_us - started_us_, 0)) / 1e6,
      parts_.connections ? std::to_string(parts_.connections()) : "null",
      parts_.embed && parts_.store != nullptr, !parts_.media_root.empty(),
      parts_.traffic != nullptr ? traffic_json(*parts_.traffic, now_us) : "null",
      has_log ? std::to_string(parts_.log->queue_depth()) : "null",
      has_log ? ready_json(parts_.log->ready()) : "null",
      has_log ? lag_json(*parts_.log, parts_.groups) : "null",
      has_log ? outbox_json(*parts_.log, now_us) : "null", costly.store_ready, costly.documents,
      costly.gpus, costly.dead_letters_ready, costly.dead_letters, costly.dead_letters_total);
}

}  // namespace ca4::page
