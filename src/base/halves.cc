#include "base/halves.h"

namespace ca4 {
namespace {

Status try_range(size_t begin, size_t count, const Attempt& attempt, const Refuse& refuse) {
  const Status status = attempt(begin, count);
  if (!is_final_refusal(status)) return status;
  if (count == 1) return refuse(begin, status);
  const size_t half = count / 2;
  const Status first = try_range(begin, half, attempt, refuse);
  return first.is_ok() ? try_range(begin + half, count - half, attempt, refuse) : first;
}

}  // namespace

bool is_final_refusal(const Status& status) {
  return status.code() == Code::kTooLarge || status.code() == Code::kInvalidArgument;
}

Status try_in_halves(size_t count, const Attempt& attempt, const Refuse& refuse) {
  return count == 0 ? Status::ok() : try_range(0, count, attempt, refuse);
}

}  // namespace ca4
