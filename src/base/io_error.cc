#include "base/io_error.h"

#include <fmt/format.h>

#include <system_error>

namespace ca4 {

Status io_error(const std::string& path, int error) {
  return {Code::kIo, fmt::format("{}: {}", path, std::generic_category().message(error))};
}

Status io_error(const std::string& path, std::string_view doing, int error) {
  return {Code::kIo,
          fmt::format("{}: {}: {}", path, doing, std::generic_category().message(error))};
}

}  // namespace ca4
