// What is found in an embedded log's file, as text for people and as JSON for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "log/inspect.h"

namespace ca4::cli {

// A check's report; `advice` says what becomes of what is damaged.
std::string check_text(const log::CheckReport& checked, std::string_view advice);
std::string check_json(const log::CheckReport& checked);

// `json` on a line; bytes that are not UTF-8 become U+FFFD.
std::string json_line(const nlohmann::ordered_json& json);

// RFC 3339; "-" and null for a time that is not known.
std::string time_text(const std::optional<int64_t>& us);
nlohmann::ordered_json time_json(const std::optional<int64_t>& us);

}  // namespace ca4::cli
