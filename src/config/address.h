// HOST:PORT as people write it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace ca4::config {

struct Address {
  std::string host;   // without brackets: "127.0.0.1", "::1", "localhost"
  uint16_t port = 0;  // 0: any free one
};

// Reads "127.0.0.1:8000", "localhost:0" or "[::1]:8000". Does not look the host up.
// kInvalidArgument says what is missing; the text itself is not in the message.
Result<Address> parse_address(std::string_view text);

}  // namespace ca4::config
