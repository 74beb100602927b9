#include "cli/log_print.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/printable.h"

namespace ca4::cli {

using Json = nlohmann::ordered_json;

std::string check_text(const log::CheckReport& checked, std::string_view advice) {
  const std::string unchecked =
      checked.file_unchecked.empty() ? "" : fmt::format("unchecked: {}\n", checked.file_unchecked);
  if (checked.whole()) return fmt::format("whole: {} records read\n{}", checked.good, unchecked);
  std::string out =
      fmt::format("{}DAMAGED: {} records are whole, these are not:\n", unchecked, checked.good);
  for (const log::Damage& damage : checked.damages) {
    const std::string offsets = damage.first == damage.last
                                    ? fmt::format("offset {}", damage.first)
                                    : fmt::format("offsets {} to {}", damage.first, damage.last);
    fmt::format_to(std::back_inserter(out), "  {}: {}\n", offsets, printable(damage.reason));
  }
  for (const std::string& reason : checked.file_reasons) {
    fmt::format_to(std::back_inserter(out), "  file: {}\n", printable(reason));
  }
  return out + std::string(advice) + "\n";
}

std::string check_json(const log::CheckReport& checked) {
  Json damages = Json::array();
  for (const log::Damage& damage : checked.damages) {
    damages.push_back({{"first", damage.first}, {"last", damage.last}, {"reason", damage.reason}});
  }
  return json_line({{"whole", checked.whole()},
                    {"good", checked.good},
                    {"damages", damages},
                    {"file", checked.file_reasons},
                    {"file_checked", checked.file_unchecked.empty()}});
}

std::string json_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string time_text(const std::optional<int64_t>& us) {
  return us ? format_rfc3339(*us) : "-";
}

Json time_json(const std::optional<int64_t>& us) {
  return us ? Json(format_rfc3339(*us)) : Json();
}

}  // namespace ca4::cli
