// How often something may happen: so many at once, and so many a second from then on.
#pragma once

#include <chrono>

namespace ca4::http {

// A token bucket. Not thread-safe.
class Allowance {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Wait = std::chrono::milliseconds;

  // `burst` is at least 1, `per_s` more than 0. It begins full.
  Allowance(double per_s, double burst) : per_s_(per_s), burst_(burst), left_(burst) {}

  // Zero: one was taken. Else nothing was, and it is how long until there is one.
  Wait take(Time now);

  // The same without taking.
  Wait wait(Time now);

  // Nobody would notice if it were made anew.
  bool full(Time now) const;

 private:
  double left_at(Time now) const;

  double per_s_;
  double burst_;
  double left_;
  Time at_{};
};

}  // namespace ca4::http
