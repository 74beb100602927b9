#include "config/forwards.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/host_port.h"
#include "config/text.h"

namespace ca4::config {
namespace {

constexpr std::string_view kForm = "expected LOCAL:HOST:PORT[=PROBE]";
constexpr size_t kHostBytesMax = 253;  // RFC 1035
constexpr size_t kPathBytesMax = 200;

bool read_port(std::string_view text, uint16_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port != 0;
}

// What a name or an address can hold: nothing that ssh or a shell could take for something else.
bool is_host(std::string_view host, bool brackets) {
  constexpr std::string_view kName =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  constexpr std::string_view kAddress = "ABCDEFabcdef0123456789:.";
  return !host.empty() && host.size() <= kHostBytesMax && host.front() != '-' &&
         host.find_first_not_of(brackets ? kAddress : kName) == std::string_view::npos;
}

bool is_path(std::string_view path) {
  return path.starts_with('/') && path.size() <= kPathBytesMax &&
         std::all_of(path.begin(), path.end(), [](char c) { return c > ' ' && c <= '~'; });
}

bool read_probe(std::string_view text, Forward& forward) {
  const std::string_view name = text.substr(0, text.find('/'));
  const std::string_view path = text.substr(name.size());
  if (name == "http" || name == "https") {
    forward.probe = name == "http" ? Probe::kHttp : Probe::kHttps;
    forward.path = path.empty() ? "/" : path;
    return is_path(forward.path);
  }
  if (name == "kafka") forward.probe = Probe::kKafka;
  if (name == "tls") forward.probe = Probe::kTls;
  if (name == "tcp") forward.probe = Probe::kTcp;
  return path.empty() && (name == "kafka" || name == "tls" || name == "tcp");
}

std::string_view usual_probe(uint16_t port) {
  switch (port) {
    case 9092:
      return "kafka";
    case 6443:
      return "https/livez";
    case 3000:
      return "http/api/health";
    default:
      return "tcp";
  }
}

// Why `entry` is no forward; empty when it is one.
std::string read_forward(std::string_view entry, Forward& forward) {
  const size_t equals = std::min(entry.find('='), entry.size());
  std::string_view ports = entry.substr(0, equals);
  const size_t first = ports.find(':');
  const size_t last = ports.rfind(':');
  if (first == std::string_view::npos || first == last) return std::string(kForm);
  if (!read_port(ports.substr(0, first), forward.local_port) ||
      !read_port(ports.substr(last + 1), forward.port)) {
    return fmt::format("{}, ports from 1 to 65535", kForm);
  }
  std::string_view host = ports.substr(first + 1, last - first - 1);
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  if (!is_host(host, brackets)) return fmt::format("{}, '{}' is no host", kForm, host);
  forward.host = host;
  const std::string_view probe =
      equals == entry.size() ? usual_probe(forward.port) : entry.substr(equals + 1);
  if (read_probe(probe, forward)) return {};
  return "PROBE must be one of kafka, tls, tcp, http/PATH, https/PATH";
}

}  // namespace

std::string Forward::target() const {
  return host_port(host, port);
}

Result<std::vector<Forward>> parse_forwards(std::string_view text) {
  std::vector<Forward> forwards;
  for (bool more = true; more;) {
    const size_t comma = text.find(',');
    more = comma != std::string_view::npos;
    const std::string_view entry = trimmed(text.substr(0, comma));
    text.remove_prefix(more ? comma + 1 : text.size());
    Forward forward;
    std::string problem = read_forward(entry, forward);
    if (problem.empty() && std::any_of(forwards.begin(), forwards.end(), [&](const Forward& other) {
          return other.local_port == forward.local_port;
        })) {
      problem = fmt::format("local port {} comes twice", forward.local_port);
    }
    if (problem.empty() && forwards.size() == kForwardsMax) {
      problem = fmt::format("more than {} forwards", kForwardsMax);
    }
    if (!problem.empty()) {
      return Status(Code::kInvalidArgument, fmt::format("'{}': {}", entry, problem));
    }
    forwards.push_back(std::move(forward));
  }
  return forwards;
}

}  // namespace ca4::config
