// Which ports of a private network a tunnel brings to this machine, as people write it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace ca4::config {

// How to find out whether the far side of a forward works.
enum class Probe {
  kKafka,  // an ApiVersions request is answered
  kHttps,  // GET `path` over TLS is answered with a status below 500, whatever the certificate
  kHttp,   // GET `path` is answered with a status below 500
  kTls,    // a TLS handshake is answered
  kTcp,    // the connection is not closed at once
};

struct Forward {
  uint16_t local_port = 0;  // on 127.0.0.1
  std::string host;         // as the bastion resolves it; IPv6 without brackets
  uint16_t port = 0;
  Probe probe = Probe::kTcp;
  std::string path = {};  // for kHttp and kHttps

  // "kafka:9092"
  std::string target() const;
};

// More ports than anybody watches; ssh takes each as two arguments.
inline constexpr size_t kForwardsMax = 64;

// Reads "9092:kafka:9092, 16443:k3s-api:6443=https/livez": LOCAL:HOST:PORT[=PROBE] joined by
// commas, PROBE one of kafka, tls, tcp, http/PATH, https/PATH. Without one, port 9092 is Kafka,
// 6443 a Kubernetes API (https/livez), 3000 Grafana (http/api/health), and any other tcp.
// kInvalidArgument says which entry is wrong and why: also when a local port comes twice.
Result<std::vector<Forward>> parse_forwards(std::string_view text);

}  // namespace ca4::config
