// Named checks, one after the other, each with a limit on its time: what passed, what failed, why,
// and what to do.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace ca4::verify {

enum class Outcome { kPass, kFail, kSkip };

struct Finding {
  Outcome outcome = Outcome::kPass;
  std::string detail;  // what was found, or why it failed
  std::string fix;     // of a failure: what to do

  static Finding pass(std::string detail) { return {Outcome::kPass, std::move(detail), {}}; }
  static Finding fail(std::string why, std::string fix) {
    return {Outcome::kFail, std::move(why), std::move(fix)};
  }
  static Finding fail(const Status& status, std::string fix) {
    return fail(status.message(), std::move(fix));
  }
  // Nothing to check here, or no use without what failed before.
  static Finding skip(std::string why) { return {Outcome::kSkip, std::move(why), {}}; }
};

struct CheckResult {
  std::string suite;
  std::string name;
  Finding finding;
  int64_t took_us = 0;
};

// Belongs to one thread.
class Checklist {
 public:
  using Watch = std::function<void(const CheckResult&)>;

  // `watch` gets each result as it comes. No check gets more than `timeout_ms` unless it says so.
  Checklist(Watch watch, int64_t timeout_ms) : watch_(std::move(watch)), timeout_ms_(timeout_ms) {}

  // The results that follow belong to this suite.
  void begin(std::string suite) { suite_ = std::move(suite); }

  // Runs `check`; true when it passed. One that does not return in time has failed and goes on by
  // itself, to the end of the process: it must own, or share, all that it uses.
  bool check(const std::string& name, std::function<Finding()> check, int64_t timeout_ms = 0);

  const std::vector<CheckResult>& results() const { return results_; }
  bool all_passed() const;  // nothing failed
  // A check still runs: the process must end without destroying what it may use (_Exit).
  bool hung() const { return hung_; }
  int64_t timeout_ms() const { return timeout_ms_; }

 private:
  const Watch watch_;
  const int64_t timeout_ms_;
  std::string suite_;
  std::vector<CheckResult> results_;
  bool hung_ = false;
};

// {"ok":…,"checks":[{"suite","name","outcome":"pass|fail|skip","detail","fix","took_ms"}]}
std::string to_json(const std::vector<CheckResult>& results);

}  // namespace ca4::verify
