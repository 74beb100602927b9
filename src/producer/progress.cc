#include "producer/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace ca4::producer {
namespace {

constexpr size_t kBarColumns = 24;
// Beyond this nobody waits; also keeps the arithmetic in range when the rate is near nothing.
constexpr double kEtaMaxS = 99 * 3600.0;

std::string plural(size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace

std::string duration_text(double seconds) {
  const auto s = static_cast<int64_t>(std::ceil(seconds));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

std::string progress_line(const ProgressView& view, size_t columns) {
  const double share =
      view.all == 0 ? 1.0 : static_cast<double>(view.done) / static_cast<double>(view.all);
  std::string text = fmt::format("{}/{}  {:.0f} %", view.done, view.all, std::floor(share * 100));
  if (view.images_per_s > 0) {
    text += fmt::format("  {:.1f} images/s", view.images_per_s);
    const double left_s = static_cast<double>(view.all - view.done) / view.images_per_s;
    if (left_s < kEtaMaxS) text += fmt::format("  {} left", duration_text(left_s));
  }
  if (view.skipped > 0) text += fmt::format("  {} skipped", view.skipped);
  const auto filled = static_cast<size_t>(share * kBarColumns);
  const std::string bar = fmt::format(
      "[{:<{}}]  ", std::string(filled, '=') + (filled < kBarColumns ? ">" : ""), kBarColumns);
  return (bar.size() + text.size() <= columns ? bar + text : text).substr(0, columns);
}

std::string summary_text(const Report& report, const std::string& journal_path) {
  const double rate = report.wall_s > 0 ? static_cast<double>(report.sent) / report.wall_s : 0;
  const double busy = report.wall_s > 0 ? report.model_busy_s / report.wall_s : 0;
  std::string text = fmt::format("{}: {} sent", plural(report.files, "image"), report.sent);
  if (report.already_sent > 0) text += fmt::format(", {} already sent", report.already_sent);
  if (!report.skipped.empty()) text += fmt::format(", {} skipped", report.skipped.size());
  const size_t settled = report.sent + report.already_sent + report.skipped.size();
  if (settled < report.files) text += fmt::format(", {} not sent", report.files - settled);
  text += fmt::format("\n{:.1f} s, {:.1f} images/s, model busy {:.0f} %\n", report.wall_s, rate,
                      busy * 100);
  if (report.files > 0 && report.already_sent == report.files) {
    text += fmt::format(
        "Nothing new: {} knows all of them; with another --journal they are sent again.\n",
        journal_path);
  }
  if (!report.status.is_ok()) {
    text +=
        fmt::format("Run the same command again to go on: {} knows what was sent.\n", journal_path);
  }
  return text;
}

std::string summary_json(const Report& report, const std::string& journal_path) {
  using Json = nlohmann::ordered_json;
  Json skipped = Json::array();
  for (const Skipped& one : report.skipped) {
    skipped.push_back({{"path", one.path}, {"reason", one.reason}});
  }
  const Json summary = {
      {"images", report.files},
      {"sent", report.sent},
      {"already_sent", report.already_sent},
      {"skipped", std::move(skipped)},
      {"wall_s", report.wall_s},
      {"model_busy_s", report.model_busy_s},
      {"journal", journal_path},
      {"failure", report.status.is_ok() ? Json() : Json(report.status.message())}};
  // Names of files may be any bytes.
  return summary.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ca4::producer
