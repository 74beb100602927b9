// Who sends tokens that are none, by address: guessing is slowed down, and so is what it costs us.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>

#include "http/allowance.h"
#include "http/server.h"

namespace ca4::http {

// The address that a request comes from: its peer's, or where that is a program of this machine,
// as a tunnel's agent or a proxy is, the last one of X-Forwarded-For, which that program added. Of
// IPv6 the first 64 bits: a client has as many addresses behind them as it likes.
std::string client_address(const Request& request);

// Thread-safe.
class Attempts {
 public:
  Attempts();

  // Counts a failed one. Zero, or how long until this address may fail again.
  Allowance::Wait count(const std::string& address, Allowance::Time now);

  // The same without counting.
  Allowance::Wait wait(const std::string& address, Allowance::Time now);

  // Addresses that are remembered now.
  size_t size() const;

 private:
  // Both with mutex_ held.
  void forget(Allowance::Time now);
  Allowance& room_for(const std::string& address, Allowance::Time now);

  mutable std::mutex mutex_;
  std::map<std::string, Allowance> addresses_;  // guarded by mutex_
  Allowance others_;                            // of all that found no room; guarded by mutex_
  Allowance::Time forgot_at_{};                 // guarded by mutex_
};

}  // namespace ca4::http
