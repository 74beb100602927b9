#include "door/agent_output.h"

#include <nlohmann/json.hpp>

namespace ca4::door {
namespace {

using Json = nlohmann::json;

Json parse(std::string_view text) {
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

std::string text_of(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

}  // namespace

std::optional<std::string> ngrok_api_address(std::string_view line) {
  const Json entry = parse(line);
  if (!entry.is_object() || text_of(entry, "msg") != "starting web service") return std::nullopt;
  const std::string address = text_of(entry, "addr");
  return address.empty() ? std::nullopt : std::optional(address);
}

std::optional<std::string> ngrok_public_url(std::string_view json) {
  const Json answer = parse(json);
  if (!answer.is_object() || !answer.contains("tunnels")) return std::nullopt;
  std::optional<std::string> found;
  for (const Json& tunnel : answer["tunnels"]) {
    const std::string url = tunnel.is_object() ? text_of(tunnel, "public_url") : "";
    if (!url.empty() && (!found || url.starts_with("https://"))) found = url;
  }
  return found;
}

std::optional<std::string> cloudflared_public_url(std::string_view line) {
  constexpr std::string_view kEnd = ".trycloudflare.com";
  const size_t begin = line.find("https://");
  const size_t end = line.find(kEnd, begin == std::string_view::npos ? 0 : begin);
  if (begin == std::string_view::npos || end == std::string_view::npos) return std::nullopt;
  const std::string url(line.substr(begin, end + kEnd.size() - begin));
  // cloudflared's own API stands in its log too.
  if (url.find_first_of(" \t|") != std::string::npos || url == "https://api.trycloudflare.com") {
    return std::nullopt;
  }
  return url;
}

std::optional<std::string> complaint(std::string_view line) {
  const Json entry = parse(line);
  if (entry.is_object()) {
    const std::string level = text_of(entry, "lvl");
    const std::string error = text_of(entry, "err");
    if ((level != "eror" && level != "error" && level != "crit") || error.empty()) {
      return std::nullopt;
    }
    return error;
  }
  for (const std::string_view mark : {"ERROR:", " ERR ", "error:"}) {
    const size_t at = line.find(mark);
    if (at != std::string_view::npos && at + mark.size() + 1 < line.size()) {
      return std::string(line.substr(at + mark.size()));
    }
  }
  return std::nullopt;
}

}  // namespace ca4::door
