// The largest of what several threads have.
#pragma once

#include <atomic>

namespace ca4 {

// Makes `value` at least `to`.
template <class T>
void raise(std::atomic<T>& value, T to) {
  T seen = value.load(std::memory_order_relaxed);
  while (seen < to && !value.compare_exchange_weak(seen, to)) {
  }
}

}  // namespace ca4
