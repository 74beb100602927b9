#include "http/local_guard.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "http/audit.h"
#include "http/problem.h"

namespace ca4::http {
namespace {

std::string remedy(std::string_view token_flag) {
  return fmt::format(
      "; give the server {}, or let the tunnel or proxy in front of it send its own Host (ngrok: "
      "--host-header=rewrite)",
      token_flag);
}

// The host of "HOST", "HOST:PORT" or "[IPV6]:PORT", lower case, without brackets and a final dot.
std::string host_of(std::string_view authority) {
  std::string_view host = authority.substr(0, authority.find(':'));
  if (authority.starts_with('[')) host = authority.substr(1, authority.find(']') - 1);
  if (host.ends_with('.')) host.remove_suffix(1);
  std::string out(host);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

// Such a Host can't be rebound: no name stands between it and this server.
bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> ignored{};
  return inet_pton(AF_INET, host.c_str(), ignored.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), ignored.data()) == 1;
}

// RFC 6761 section 6.3: browsers take these to this machine, whatever a name server says.
bool is_localhost(const std::string& host) {
  return host == "localhost" || host.ends_with(".localhost");
}

// "null", as pages in a sandbox send it, stays what it is.
std::string host_of_origin(std::string_view origin) {
  const size_t scheme = origin.find("://");
  return scheme == std::string_view::npos ? std::string(origin)
                                          : host_of(origin.substr(scheme + 3));
}

}  // namespace

bool is_loopback(const std::string& host) {
  if (host == "localhost") return true;
  in_addr v4{};
  // As getaddrinfo reads it, which the server listens by: 127.1 too.
  if (inet_aton(host.c_str(), &v4) != 0) return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
  in6_addr v6{};
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string foreign_reason(const Request& request, std::string_view listen_host,
                           std::string_view token_flag) {
  const std::string host = host_of(request.header("Host"));
  const bool ours = host.empty() || is_address(host) || is_localhost(host) || host == listen_host;
  if (!ours) {
    return fmt::format("this server asks for no token and so is not to be reached as '{}'{}", host,
                       remedy(token_flag));
  }
  const std::string_view origin = request.header("Origin");
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (reads || origin.empty() || host_of_origin(origin) == host) return {};
  return fmt::format("this server asks for no token and so takes nothing from pages of '{}'{}",
                     origin, remedy(token_flag));
}

Handler guard_local(Handler inner, std::string listen_host, std::string token_flag) {
  return [inner = std::move(inner), listen_host = std::move(listen_host),
          token_flag = std::move(token_flag),
          audit = std::make_shared<Audit>()](Request request, Respond respond) {
    const std::string reason = foreign_reason(request, listen_host, token_flag);
    if (!reason.empty()) {
      // A page may try as often as it likes.
      audit->refused_often(request, 403, "local", "reached by another name or from another site");
      return respond(problem(403, reason));
    }
    inner(std::move(request), std::move(respond));
  };
}

}  // namespace ca4::http
