#include "log/broker_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace ca4::log {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

std::string key_of(std::string_view host, std::string_view port) {
  return lower(host) + ":" + std::string(port);
}

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port >= 1 && port <= 65'535;
}

// "host:port" or "[address]:port".
std::optional<BrokerAddress> parse_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !is_port(text.substr(colon + 1))) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find_first_of(":[]") != std::string_view::npos) {
    return std::nullopt;
  }
  if (host.empty() || host.find_first_of(" \t*=") != std::string_view::npos) return std::nullopt;
  return BrokerAddress{std::string(host), std::string(text.substr(colon + 1))};
}

Status refuse(std::string_view entry, std::string_view why) {
  return {Code::kInvalidArgument, fmt::format("'{}': {}", entry, why)};
}

}  // namespace

Result<BrokerMap> BrokerMap::parse(std::string_view text) {
  BrokerMap map;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view entry = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t equals = entry.find('=');
    if (equals == std::string_view::npos) return refuse(entry, "expected ADVERTISED=REACHED");
    const std::string_view from = entry.substr(0, equals);
    const std::optional<BrokerAddress> to = parse_address(entry.substr(equals + 1));
    if (!to) return refuse(entry, "expected HOST:PORT to the right of '='");
    if (from == "*") {
      if (map.any_) return refuse(entry, "'*' is given more than once");
      map.any_ = *to;
      continue;
    }
    const std::optional<BrokerAddress> advertised = parse_address(from);
    if (!advertised) return refuse(entry, "expected HOST:PORT or * to the left of '='");
    if (!map.entries_.emplace(key_of(advertised->host, advertised->port), *to).second) {
      return refuse(entry, "this broker is given more than once");
    }
  }
  return map;
}

std::optional<BrokerAddress> BrokerMap::find(std::string_view host, std::string_view port) const {
  const auto entry = entries_.find(key_of(host, port));
  return entry == entries_.end() ? any_ : entry->second;
}

}  // namespace ca4::log
