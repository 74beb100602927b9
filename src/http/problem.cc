#include "http/problem.h"

#include <fmt/format.h>

#include <boost/beast/http/status.hpp>
#include <nlohmann/json.hpp>

namespace ca4::http {

std::string_view reason_phrase(int status) {
  // RFC 9110 renamed these; the library has the older names.
  if (status == 413) return "Content Too Large";
  if (status == 422) return "Unprocessable Content";
  const auto known = boost::beast::http::int_to_status(static_cast<unsigned>(status));
  if (known == boost::beast::http::status::unknown) return "Error";
  const auto phrase = boost::beast::http::obsolete_reason(known);
  return {phrase.data(), phrase.size()};
}

std::string json_string(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string problem_json(int status, std::string_view detail, std::string_view field) {
  std::string out = fmt::format(R"({{"type":"about:blank","title":{},"status":{},"detail":{})",
                                json_string(reason_phrase(status)), status, json_string(detail));
  if (!field.empty()) out.append(R"(,"field":)").append(json_string(field));
  return out.append("}");
}

Response problem(int status, std::string_view detail, std::string_view field) {
  Response response;
  response.status = status;
  response.content_type = "application/problem+json";
  response.body = problem_json(status, detail, field);
  return response;
}

Response problem_retry(int status, std::string_view detail, int retry_after_s) {
  Response response = problem(status, detail);
  response.headers.emplace_back("Retry-After", std::to_string(retry_after_s));
  return response;
}

}  // namespace ca4::http
