#include "config/address.h"

#include <charconv>

namespace ca4::config {
namespace {

Status refuse(const char* why) {
  return {Code::kInvalidArgument, why};
}

}  // namespace

Result<Address> parse_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  const bool bracketed = text.starts_with('[');
  const size_t host_end = bracketed ? text.find(']') : colon;
  if (bracketed && (host_end == std::string_view::npos || host_end + 1 != colon)) {
    return refuse("expected [IPV6]:PORT, such as [::1]:8000");
  }
  if (colon == std::string_view::npos) return refuse("expected HOST:PORT, such as 127.0.0.1:8000");

  const std::string_view host = bracketed ? text.substr(1, host_end - 1) : text.substr(0, host_end);
  if (host.empty()) return refuse("the host is missing; every interface is 0.0.0.0:PORT");
  if (host.find_first_of(" /[]") != std::string_view::npos) {
    return refuse("expected HOST:PORT, such as 127.0.0.1:8000");
  }
  if (!bracketed && host.find(':') != std::string_view::npos) {
    return refuse("an IPv6 address goes in brackets, such as [::1]:8000");
  }

  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return refuse("the port must be 0 to 65535");
  }
  return Address{std::string(host), port};
}

}  // namespace ca4::config
