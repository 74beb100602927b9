// Where brokers are reached when the names that they tell their clients can't be: behind a tunnel a
// broker that calls itself kafka-0.kafka:9092 is 127.0.0.1:19092 here. Pure; after parsing constant
// and so safe to use from any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace ca4::log {

struct BrokerAddress {
  std::string host;  // a name or an IP address, IPv6 without brackets
  std::string port;
};

class BrokerMap {
 public:
  // "HOST:PORT=HOST:PORT,..." with the advertised address on the left; "*" on the left stands for
  // every address that has no entry of its own. IPv6 addresses in brackets. Names of hosts compare
  // without regard to case. Empty text: an empty map. kInvalidArgument quotes the entry that is
  // wrong.
  static Result<BrokerMap> parse(std::string_view text);

  // Where to connect to instead; none: to the address itself.
  std::optional<BrokerAddress> find(std::string_view host, std::string_view port) const;

  bool empty() const { return entries_.empty() && !any_; }

 private:
  std::map<std::string, BrokerAddress> entries_;  // by "host:port", lower case
  std::optional<BrokerAddress> any_;
};

}  // namespace ca4::log
