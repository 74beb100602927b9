#include "http/attempts.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "http/local_guard.h"

namespace ca4::http {
namespace {

// A person with the wrong token, or a page that asks for one, stays far below it; at one a second a
// token of 16 letters and digits is safe for longer than anybody waits.
constexpr double kFailuresAtOnce = 20;
constexpr double kFailuresPerS = 1;
// Half a megabyte. Who has more addresses than that shares one allowance with all like him.
constexpr size_t kAddressesMax = 4096;
// One is forgotten after 20 s at the earliest, so looking for such more often finds little.
constexpr auto kForgetEvery = std::chrono::seconds(5);

// "127.0.0.1" of "127.0.0.1:53124", "::1" of "[::1]:53124".
std::string_view host_of_peer(std::string_view peer) {
  if (peer.starts_with('[')) return peer.substr(1, peer.find(']') - 1);
  return peer.substr(0, peer.rfind(':'));
}

// Behind the last comma of the last such field, without blanks; empty when that is no address. A
// proxy may add a field of its own behind that of the client, as HAProxy does.
std::string last_forwarded(const Request& request) {
  std::string_view text = request.last_header("X-Forwarded-For");
  text = text.substr(text.rfind(',') + 1);
  const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  text = text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  std::string out(text);
  const bool v4 = inet_pton(AF_INET, out.c_str(), bytes.data()) == 1;
  const bool v6 = inet_pton(AF_INET6, out.c_str(), bytes.data()) == 1;
  return v4 || v6 ? out : std::string();
}

// "1.2.3.4" of "::ffff:1.2.3.4", as a socket for both kinds shows it.
std::string unmapped(const std::string& address) {
  in6_addr bytes{};
  if (inet_pton(AF_INET6, address.c_str(), &bytes) != 1 || !IN6_IS_ADDR_V4MAPPED(&bytes)) {
    return address;
  }
  constexpr size_t kPrefixBytes = 12;
  std::array<char, INET_ADDRSTRLEN> text{};
  inet_ntop(AF_INET, bytes.s6_addr + kPrefixBytes, text.data(), text.size());
  return text.data();
}

std::string network_of(const std::string& address) {
  in6_addr bytes{};
  if (inet_pton(AF_INET6, address.c_str(), &bytes) != 1) return address;
  constexpr size_t kHostBytes = 8;
  std::fill_n(bytes.s6_addr + kHostBytes, kHostBytes, uint8_t{0});
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(AF_INET6, &bytes, text.data(), text.size());
  return fmt::format("{}/64", text.data());
}

}  // namespace

std::string client_address(const Request& request) {
  const std::string host = unmapped(std::string(host_of_peer(request.peer)));
  if (!is_loopback(host)) return network_of(host);
  const std::string given = last_forwarded(request);
  return given.empty() ? host : network_of(unmapped(given));
}

Attempts::Attempts() : others_(kFailuresPerS, kFailuresAtOnce) {}

void Attempts::forget(Allowance::Time now) {
  if (now - forgot_at_ < kForgetEvery) return;
  forgot_at_ = now;
  std::erase_if(addresses_, [&](auto& entry) { return entry.second.full(now); });
}

Allowance& Attempts::room_for(const std::string& address, Allowance::Time now) {
  forget(now);
  const auto known = addresses_.find(address);
  if (known != addresses_.end()) return known->second;
  if (addresses_.size() >= kAddressesMax) return others_;
  return addresses_.emplace(address, Allowance(kFailuresPerS, kFailuresAtOnce)).first->second;
}

Allowance::Wait Attempts::count(const std::string& address, Allowance::Time now) {
  const std::lock_guard lock(mutex_);
  return room_for(address, now).take(now);
}

Allowance::Wait Attempts::wait(const std::string& address, Allowance::Time now) {
  const std::lock_guard lock(mutex_);
  const auto known = addresses_.find(address);
  if (known != addresses_.end()) return known->second.wait(now);
  return addresses_.size() >= kAddressesMax ? others_.wait(now) : Allowance::Wait::zero();
}

size_t Attempts::size() const {
  const std::lock_guard lock(mutex_);
  return addresses_.size();
}

}  // namespace ca4::http
