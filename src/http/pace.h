// How long a client may take for bytes that it sends or reads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace ca4::http {

// How long who sends nothing is waited for where others need the room, or the server stops: a few
// round trips, or a packet that is lost three times.
constexpr int64_t kHurriedMs = 3'000;

// Each byte gives the time that the least rate has for it; but never is there more than
// `ahead_ms_max` left, so that who was fast at first can't stop for minutes.
class Pace {
 public:
  explicit Pace(int64_t ahead_ms_max) : ahead_ms_max_(ahead_ms_max) {}

  // From `now_ms` on, with so long for the first byte.
  void begin(int64_t now_ms, int64_t first_ms) { base_ms_ = now_ms + first_ms; }

  // By when more than `bytes`, which are all since `begin`, must have come.
  int64_t due_ms(int64_t now_ms, size_t bytes, size_t bytes_per_s_min) {
    const auto earned_ms = static_cast<int64_t>(bytes * 1000 / bytes_per_s_min);
    base_ms_ = std::min(base_ms_, now_ms + ahead_ms_max_ - earned_ms);
    return base_ms_ + earned_ms;
  }

 private:
  const int64_t ahead_ms_max_;
  int64_t base_ms_ = 0;
};

}  // namespace ca4::http
