// HOST:PORT as URLs and ssh write it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ca4 {

// "127.0.0.1:8000", or "[::1]:8000" for an IPv6 address, which is given without brackets.
inline std::string host_port(std::string_view host, uint16_t port) {
  const bool v6 = host.find(':') != std::string_view::npos;
  std::string out = v6 ? "[" : "";
  out += host;
  return out + (v6 ? "]:" : ":") + std::to_string(port);
}

}  // namespace ca4
