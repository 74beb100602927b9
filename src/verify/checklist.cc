#include "verify/checklist.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

namespace ca4::verify {
namespace {

const char* outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPass:
      return "pass";
    case Outcome::kFail:
      return "fail";
    case Outcome::kSkip:
      break;
  }
  return "skip";
}

}  // namespace

bool Checklist::check(const std::string& name, std::function<Finding()> check, int64_t timeout_ms) {
  using namespace std::chrono;
  const int64_t limit_ms = timeout_ms > 0 ? timeout_ms : timeout_ms_;
  const auto began = steady_clock::now();
  std::packaged_task<Finding()> task(std::move(check));
  std::future<Finding> finding = task.get_future();
  std::thread(std::move(task)).detach();
  CheckResult result{suite_, name, {}, 0};
  if (finding.wait_for(milliseconds(limit_ms)) == std::future_status::ready) {
    result.finding = finding.get();
  } else {
    hung_ = true;
    result.finding =
        Finding::fail(fmt::format("no answer in {:.1f} s", static_cast<double>(limit_ms) / 1000),
                      "what it asks hangs or is out of reach; --timeout-s gives it more time");
  }
  result.took_us = duration_cast<microseconds>(steady_clock::now() - began).count();
  watch_(result);
  results_.push_back(std::move(result));
  return results_.back().finding.outcome == Outcome::kPass;
}

bool Checklist::all_passed() const {
  return std::none_of(results_.begin(), results_.end(), [](const CheckResult& result) {
    return result.finding.outcome == Outcome::kFail;
  });
}

std::string to_json(const std::vector<CheckResult>& results) {
  using nlohmann::ordered_json;
  ordered_json checks = ordered_json::array();
  bool ok = true;
  for (const CheckResult& result : results) {
    ok = ok && result.finding.outcome != Outcome::kFail;
    checks.push_back({{"suite", result.suite},
                      {"name", result.name},
                      {"outcome", outcome_name(result.finding.outcome)},
                      {"detail", result.finding.detail},
                      {"fix", result.finding.fix},
                      {"took_ms", static_cast<double>(result.took_us) / 1000}});
  }
  const ordered_json json = {{"ok", ok}, {"checks", std::move(checks)}};
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace ca4::verify
