// Keeps what repeats itself out of the program's messages.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace ca4 {

// Lets a message of each kind through once a period. Thread-safe.
class LogLimiter {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Half a minute: a broker that is away is heard of now and then, not at each new try.
  explicit LogLimiter(std::chrono::milliseconds period = std::chrono::seconds(30))
      : period_(period) {}

  // How many of this kind were kept back since the last one, when this one may be said; none: keep
  // it back. Few kinds are expected: each is remembered.
  std::optional<size_t> allow(const std::string& kind, Time now);

 private:
  struct Kind {
    Time said_at;
    size_t kept_back = 0;
  };
  const std::chrono::milliseconds period_;
  std::mutex mutex_;
  std::map<std::string, Kind> kinds_;
};

// What stands behind a message that was said in place of others: "" or " (and 7 like it)".
std::string and_like_it(size_t kept_back);

}  // namespace ca4
