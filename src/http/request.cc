#include <boost/beast/core/string.hpp>

#include "http/server.h"

namespace ca4::http {

std::string_view Request::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (boost::beast::iequals({key.data(), key.size()}, {name.data(), name.size()})) return value;
  }
  return {};
}

std::string_view Request::last_header(std::string_view name) const {
  std::string_view out;
  for (const auto& [key, value] : headers) {
    if (boost::beast::iequals({key.data(), key.size()}, {name.data(), name.size()})) out = value;
  }
  return out;
}

}  // namespace ca4::http
