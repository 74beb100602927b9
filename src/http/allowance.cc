#include "http/allowance.h"

#include <algorithm>
#include <cmath>

namespace ca4::http {

double Allowance::left_at(Time now) const {
  if (at_ == Time{} || now <= at_) return left_;
  return std::min(burst_, left_ + std::chrono::duration<double>(now - at_).count() * per_s_);
}

Allowance::Wait Allowance::wait(Time now) {
  left_ = left_at(now);
  at_ = std::max(at_, now);
  if (left_ >= 1) return Wait::zero();
  return Wait(static_cast<Wait::rep>(std::ceil((1 - left_) * 1000 / per_s_)));
}

Allowance::Wait Allowance::take(Time now) {
  const Wait until = wait(now);
  if (until == Wait::zero()) left_ -= 1;
  return until;
}

bool Allowance::full(Time now) const {
  return left_at(now) >= burst_;
}

}  // namespace ca4::http
