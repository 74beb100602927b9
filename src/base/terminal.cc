#include "base/terminal.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace ca4 {
namespace {

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): see the contract
  return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace

bool takes_colours(int fd) {
  return variable("NO_COLOR").empty() && variable("TERM") != "dumb" && isatty(fd) != 0;
}

}  // namespace ca4
