#include "aws/http.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/curl_pool.h"

namespace ca4::aws {
namespace {

// What the callbacks fill.
struct Incoming {
  HttpReply reply;
  size_t bytes_max = 0;
  bool too_large = false;
};

// Returning less than was given makes curl end the transfer with an error.
size_t take_body(char* data, size_t, size_t count, void* user) {
  auto* incoming = static_cast<Incoming*>(user);
  std::string& body = incoming->reply.body;
  if (body.size() + count > incoming->bytes_max) {
    incoming->too_large = true;
    return 0;
  }
  body.append(data, count);
  return count;
}

size_t take_header(char* data, size_t, size_t count, void* user) {
  auto* incoming = static_cast<Incoming*>(user);
  const std::string_view line(data, count);
  // A new status line: what came before it was "100 Continue" or a proxy's.
  if (line.starts_with("HTTP/")) incoming->reply.headers.clear();
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return count;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::string_view value = line.substr(colon + 1);
  value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
  value = value.substr(0, value.find_last_not_of(" \t\r\n") + 1);
  incoming->reply.headers.insert_or_assign(std::move(name), std::string(value));
  return count;
}

CurlList header_list(const std::vector<std::string>& headers) {
  curl_slist* list = nullptr;
  for (const std::string& header : headers) list = curl_slist_append(list, header.c_str());
  // No round trip to ask whether the body may come; no type that nobody named.
  list = curl_slist_append(list, "Expect:");
  const bool typed = std::any_of(headers.begin(), headers.end(), [](const std::string& header) {
    return header.starts_with("Content-Type:");
  });
  if (!typed) list = curl_slist_append(list, "Content-Type:");
  return CurlList(list);
}

void set_method(CURL* easy, const HttpRequest& request) {
  if (request.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    return;
  }
  if (request.method == "PUT" || request.method == "POST") {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
  }
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

void set_limits(CURL* easy, const HttpRequest& request) {
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_timeout_ms));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                   static_cast<long>((request.silence_timeout_ms + 999) / 1000));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout_ms));
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
}

class CurlHttp final : public Http {
 public:
  explicit CurlHttp(std::string ca_file) : ca_file_(std::move(ca_file)) {}

  Result<HttpReply> send(const HttpRequest& request) override {
    CurlEasy easy = pool_.take();
    if (easy == nullptr) return Status(Code::kInternal, "libcurl has no memory to start");
    std::array<char, CURL_ERROR_SIZE> error{};
    Incoming incoming;
    incoming.bytes_max = request.reply_bytes_max;
    const CurlList headers = header_list(request.headers);
    CURL* const raw = easy.get();
    set_method(raw, request);
    set_limits(raw, request);
    curl_easy_setopt(raw, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(raw, CURLOPT_PATH_AS_IS, 1L);  // the path that was signed
    curl_easy_setopt(raw, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(raw, CURLOPT_ERRORBUFFER, error.data());
    curl_easy_setopt(raw, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(raw, CURLOPT_WRITEDATA, &incoming);
    curl_easy_setopt(raw, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(raw, CURLOPT_HEADERDATA, &incoming);
    if (!ca_file_.empty()) curl_easy_setopt(raw, CURLOPT_CAINFO, ca_file_.c_str());
    if (request.direct) curl_easy_setopt(raw, CURLOPT_NOPROXY, "*");
    const CURLcode code = curl_easy_perform(raw);
    if (incoming.too_large) {
      return Status(Code::kTooLarge, fmt::format("{}: an answer of more than {} bytes", request.url,
                                                 request.reply_bytes_max));
    }
    if (code != CURLE_OK) {
      const char* reason = error[0] != '\0' ? error.data() : curl_easy_strerror(code);
      return Status(Code::kUnavailable, fmt::format("{}: {}", request.url, reason));
    }
    long status = 0;
    curl_easy_getinfo(raw, CURLINFO_RESPONSE_CODE, &status);
    incoming.reply.status = static_cast<int>(status);
    pool_.give_back(std::move(easy));
    return std::move(incoming.reply);
  }

 private:
  const std::string ca_file_;
  CurlPool pool_;
};

}  // namespace

std::string_view HttpReply::header(std::string_view name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

std::unique_ptr<Http> make_http(const std::string& ca_file) {
  return std::make_unique<CurlHttp>(ca_file);
}

}  // namespace ca4::aws
