// Asks through a forward whether its far side works. That a local port accepts says nothing: ssh
// accepts for services that died long ago.
#pragma once

#include <cstdint>
#include <string>

#include "config/forwards.h"

namespace ca4::tunnel {

struct Answer {
  enum class Kind {
    kHealthy,
    kUnwell,   // it answered, but not as it should
    kCutOff,   // the connection was accepted here and then closed: nobody is there at the far side
    kSilent,   // no answer in time
    kNoEntry,  // nobody listens on the local port
  };
  Kind kind = Kind::kNoEntry;
  std::string detail;  // for people: what came, or what did not
  int64_t took_us = 0;
};

// One question as `forward.probe` says, on a connection of its own to 127.0.0.1; no step takes
// longer than `timeout_ms`. Sends no secrets. Thread-safe.
Answer ask_through(const config::Forward& forward, int64_t timeout_ms);

}  // namespace ca4::tunnel
