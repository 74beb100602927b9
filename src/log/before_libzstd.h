// For functions of the program that go before those of libzstd, for librdkafka's sake. Internal to
// the Kafka log.
#pragma once

#include <dlfcn.h>

#include "base/loaded_library.h"

namespace ca4::log {

// What such a function needs: libzstd's own, and who librdkafka is. Found once, before librdkafka
// may ask: to look for them takes a lock.
template <typename Function>
struct BeforeLibzstd {
  explicit BeforeLibzstd(const char* name)
      : theirs(reinterpret_cast<Function>(dlsym(RTLD_NEXT, name))) {}

  Function theirs;
  LoadedLibrary rdkafka{dlsym(RTLD_DEFAULT, "rd_kafka_version")};
};

}  // namespace ca4::log
