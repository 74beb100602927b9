#include "top/frame.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <iterator>

#include "base/printable.h"

namespace ca4::top {
namespace {

constexpr size_t kNameColumns = 9;

// What is not known.
constexpr const char* kNone = "-";

std::string or_none(const std::optional<double>& value, std::string (*text)(double)) {
  return value ? text(*value) : kNone;
}

std::string percentiles(const Figures& figures, const std::string& name,
                        const Labels& having = {}) {
  constexpr double kHalf = 0.5;
  constexpr double kNearlyAll = 0.99;
  return fmt::format("p50 {}  p99 {}", or_none(figures.quantile(kHalf, name, having), seconds_text),
                     or_none(figures.quantile(kNearlyAll, name, having), seconds_text));
}

std::string rate(const Figures& figures, const std::string& name, const Labels& having = {}) {
  return or_none(figures.per_second(name, having), count_text) + "/s";
}

class Screen {
 public:
  explicit Screen(size_t columns) : columns_(columns) {}

  void line(const std::string& name, const std::string& text) {
    // Another program's words must not steer this terminal.
    std::string whole = printable(fmt::format("{:<{}} {}", name, kNameColumns, text));
    if (whole.size() > columns_) {
      size_t end = columns_;
      while (end > 0 && (static_cast<unsigned char>(whole[end]) & 0xc0U) == 0x80U) --end;
      whole.resize(end);
    }
    out_ += whole + "\n";
  }
  void gap() { out_ += "\n"; }
  std::string take() { return std::move(out_); }

 private:
  const size_t columns_;
  std::string out_;
};

void add_process(Screen& screen, const Process& process) {
  if (!process.trouble.empty()) {
    screen.line(process.name, fmt::format("{}  no answer for {}: {}", process.address,
                                          seconds_text(process.silent_s), process.trouble));
    return;
  }
  if (process.window.empty()) {
    screen.line(process.name, process.address + "  asked for the first time");
    return;
  }
  const Figures own(std::span(&process, 1));
  const std::string state = process.not_ready.empty() ? "ready" : "NOT READY: " + process.not_ready;
  const auto cpu = own.per_second("process_cpu_seconds_total");
  screen.line(process.name,
              fmt::format("{}  cpu {:>3.0f} %  {:>9}  {}", process.address, cpu.value_or(0) * 100,
                          or_none(own.now("process_resident_memory_bytes"), bytes_text), state));
}

void add_front(Screen& screen, const Figures& figures) {
  const std::string events = "ca4_events_total";
  if (!figures.now(events)) return;
  screen.line("events",
              fmt::format("{} accepted  {} refused  {} failed  ({} since the start)",
                          rate(figures, events, {{"result", "accepted"}}),
                          rate(figures, events, {{"result", "refused"}}),
                          rate(figures, events, {{"result", "failed"}}),
                          or_none(figures.now(events, {{"result", "accepted"}}), count_text)));
  screen.line("requests",
              fmt::format("{}  {}  {} connections", rate(figures, "ca4_http_requests_total"),
                          percentiles(figures, "ca4_http_request_seconds"),
                          or_none(figures.now("ca4_http_connections"), count_text)));
  screen.line("durable",
              fmt::format("{}  {} appends wait", percentiles(figures, "ca4_durable_seconds"),
                          or_none(figures.now("ca4_log_queue_appends"), count_text)));
}

void add_outbox(Screen& screen, const Figures& figures) {
  if (!figures.now("ca4_outbox_records")) return;
  std::string states;
  for (const std::string& state : figures.values("ca4_outbox_state", "state")) {
    if (figures.now("ca4_outbox_state", {{"state", state}}).value_or(0) > 0) {
      states += fmt::format("{}{}", states.empty() ? "" : ", ", state);
    }
  }
  screen.line("spool", fmt::format("{}  {} wait, the oldest {}  {} of {}  {} forwarded", states,
                                   or_none(figures.now("ca4_outbox_records"), count_text),
                                   or_none(figures.now("ca4_outbox_age_seconds"), seconds_text),
                                   or_none(figures.now("ca4_outbox_bytes"), bytes_text),
                                   or_none(figures.now("ca4_outbox_max_bytes"), bytes_text),
                                   rate(figures, "ca4_outbox_forwarded_total")));
}

void add_lag(Screen& screen, const Figures& figures) {
  std::string text;
  for (const std::string& group : figures.values("ca4_lag_records", "group")) {
    const auto lag = figures.now_once("ca4_lag_records", {{"group", group}});
    text += fmt::format("{}{} {}", text.empty() ? "" : "  ", group, or_none(lag, count_text));
  }
  if (!text.empty()) screen.line("lag", text);
}

void add_worker(Screen& screen, const Figures& figures) {
  const std::string documents = "ca4_documents_total";
  if (!figures.now(documents)) return;
  screen.line("documents", fmt::format("{} inserted  {} updated  {} stale  {} again",
                                       rate(figures, documents, {{"result", "inserted"}}),
                                       rate(figures, documents, {{"result", "updated"}}),
                                       rate(figures, documents, {{"result", "stale"}}),
                                       rate(figures, documents, {{"result", "unchanged"}})));
  screen.line("stored", fmt::format("{} after acceptance  batch in hand {} old",
                                    percentiles(figures, "ca4_end_to_end_seconds"),
                                    or_none(figures.now("ca4_batch_age_seconds"), seconds_text)));
  if (figures.now("ca4_archive_objects_total")) {
    screen.line("archive",
                fmt::format("{} objects  {}/s  put {}",
                            or_none(figures.now("ca4_archive_objects_total"), count_text),
                            or_none(figures.per_second("ca4_archive_bytes_total"), bytes_text),
                            percentiles(figures, "ca4_archive_put_seconds")));
  }
  std::string failing;
  for (const std::string& step : figures.values("ca4_step_failing", "step")) {
    if (figures.now("ca4_step_failing", {{"step", step}}).value_or(0) > 0) {
      failing += fmt::format("{}{}", failing.empty() ? "  FAILING NOW: " : ", ", step);
    }
  }
  screen.line("errors",
              fmt::format("{} dead letters  {} retries{}",
                          or_none(figures.now("ca4_dead_letters_total"), count_text),
                          count_text(figures.now("ca4_retries_total").value_or(0)), failing));
}

void add_producer(Screen& screen, const Figures& figures) {
  const std::string images = "ca4_producer_images_total";
  if (!figures.now(images)) return;
  screen.line(
      "images",
      fmt::format(
          "{} of {} done  {} sent  {} skipped  {} embedding  {} sending",
          or_none(figures.now(images), count_text),
          or_none(figures.now("ca4_producer_given_images"), count_text),
          rate(figures, images, {{"result", "sent"}}),
          or_none(figures.now(images, {{"result", "skipped"}}), count_text),
          or_none(figures.now("ca4_producer_pending_images", {{"stage", "embed"}}), count_text),
          or_none(figures.now("ca4_producer_pending_images", {{"stage", "send"}}), count_text)));
  std::string codes;
  for (const std::string& code : figures.values("ca4_producer_requests_total", "code")) {
    codes += fmt::format(
        "  {}: {}", code == "none" ? "no answer" : code,
        or_none(figures.now("ca4_producer_requests_total", {{"code", code}}), count_text));
  }
  screen.line("sending", percentiles(figures, "ca4_producer_request_seconds") + codes);
}

// Of each process its own: several machines have a GPU 0.
void add_gpus(Screen& screen, const Process& process) {
  const Figures own(std::span(&process, 1));
  for (const std::string& uuid : own.values("ca4_gpu_temperature_celsius", "uuid")) {
    const Labels which = {{"uuid", uuid}};
    const auto value = [&](const char* name) { return own.now(name, which); };
    std::string gpu = "?";
    std::string name;
    for (const Sample& sample : process.window.back().scrape.of("ca4_gpu_temperature_celsius")) {
      if (!has(sample.labels, which)) continue;
      gpu = sample.labels.at("gpu");
      name = sample.labels.at("name");
    }
    const auto used = value("ca4_gpu_memory_used_bytes");
    const auto free = value("ca4_gpu_memory_free_bytes");
    screen.line("gpu " + gpu, fmt::format("{:.0f} %  {} of {}  {:.0f} W  {:.0f} C  {:.0f} MHz  {}",
                                          value("ca4_gpu_utilization_ratio").value_or(0) * 100,
                                          or_none(used, bytes_text),
                                          used && free ? bytes_text(*used + *free) : kNone,
                                          value("ca4_gpu_power_watts").value_or(0),
                                          value("ca4_gpu_temperature_celsius").value_or(0),
                                          value("ca4_gpu_sm_clock_hertz").value_or(0) / 1e6, name));
  }
}

}  // namespace

std::string bytes_text(double bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  constexpr double kStep = 1024;
  size_t unit = 0;
  while (bytes >= kStep && unit + 1 < std::size(kUnits)) {
    bytes /= kStep;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, unit > 0 && bytes < 10 ? 1 : 0, kUnits[unit]);
}

std::string seconds_text(double seconds) {
  constexpr double kMinute = 60;
  constexpr double kHour = 3600;
  constexpr double kMs = 1e-3;
  if (seconds <= 0) return "0 s";
  if (seconds < kMs) return fmt::format("{:.0f} us", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.{}f} ms", seconds * 1e3, seconds < 10 * kMs ? 1 : 0);
  if (seconds < kMinute) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(seconds);
  if (seconds < kHour) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02} h", whole / 3600, whole % 3600 / 60);
}

std::string count_text(double count) {
  constexpr double kMillion = 1e6;
  constexpr double kTenMillion = 1e7;
  if (count >= kTenMillion) return fmt::format("{:.1f} M", count / kMillion);
  if (count > 0 && count < 10 && count != std::floor(count)) return fmt::format("{:.1f}", count);
  std::string digits = fmt::format("{:.0f}", count);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string frame(const std::vector<Process>& processes, size_t columns) {
  Screen screen(columns);
  for (const Process& process : processes) add_process(screen, process);
  screen.gap();
  const Figures figures(processes);
  add_front(screen, figures);
  add_outbox(screen, figures);
  add_lag(screen, figures);
  add_worker(screen, figures);
  add_producer(screen, figures);
  for (const Process& process : processes) {
    if (!process.window.empty() && process.trouble.empty()) add_gpus(screen, process);
  }
  return screen.take();
}

}  // namespace ca4::top
