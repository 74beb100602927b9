#include <curl/curl.h>
#include <fmt/format.h>

#include <strings.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string_view>

#include "base/curl_pool.h"
#include "base/this_machine.h"
#include "producer/transport.h"

namespace ca4::producer {
namespace {

// A batch's answer is a line an item; more than this is no answer of a processor.
constexpr size_t kReplyBytesMax = 16 << 20;

// Returning less than was given makes curl end the transfer with an error.
size_t collect(char* data, size_t, size_t count, void* user) {
  auto* body = static_cast<std::string*>(user);
  if (body->size() + count > kReplyBytesMax) return 0;
  body->append(data, count);
  return count;
}

// Keeps the one header that libcurl has no name for.
size_t note_header(char* data, size_t, size_t count, void* user) {
  constexpr std::string_view kName = "ngrok-error-code:";
  const std::string_view line(data, count);
  if (line.size() <= kName.size() || strncasecmp(data, kName.data(), kName.size()) != 0) {
    return count;
  }
  const size_t begin = line.find_first_not_of(" \t", kName.size());
  const size_t end = line.find_last_not_of(" \t\r\n");
  if (begin < end) static_cast<Reply*>(user)->ngrok_error = line.substr(begin, end + 1 - begin);
  return count;
}

// As OpenSSL says it; a certificate for another name, or one that has expired, is not meant.
bool is_of_unknown_authority(std::string_view reason) {
  constexpr std::string_view kWords[] = {"issuer certificate", "self-signed", "self signed",
                                         "first certificate"};
  return std::ranges::any_of(
      kWords, [&](std::string_view words) { return reason.find(words) != std::string_view::npos; });
}

// For messages, which end in logs and in notebooks that are passed on: without a name and password.
std::string without_password(std::string url) {
  const size_t begin = url.find("://") + 3;
  const size_t end = std::min(url.find('/', begin), url.size());
  const size_t at = url.rfind('@', end);
  if (at != std::string::npos && at >= begin) url.erase(begin, at + 1 - begin);
  return url;
}

// "name" of "http://ann:s3cret@name:8000/metadata".
std::string host_of(std::string_view url) {
  const std::string plain = without_password(std::string(url));
  const size_t begin = plain.find("://") + 3;
  const bool is_ipv6 = plain[begin] == '[';
  const size_t from = begin + (is_ipv6 ? 1 : 0);
  return plain.substr(from, plain.find_first_of(is_ipv6 ? "]" : ":/", from) - from);
}

// curl names whom it could not connect to: another host than the endpoint's is that of a proxy.
bool is_of_proxy(std::string_view url, CURLcode code, std::string_view reason) {
  if (code == CURLE_COULDNT_RESOLVE_PROXY) return true;
  return code == CURLE_COULDNT_CONNECT && reason.find(host_of(url)) == std::string_view::npos;
}

// What is most likely wrong: the endpoint begins with the wrong one of http:// and https://, its
// certificate comes from an authority of one's own, or a proxy is not there.
std::string_view endpoint_hint(std::string_view url, CURLcode code, std::string_view reason) {
  const bool is_https = url.starts_with("https://");
  if (code == CURLE_PEER_FAILED_VERIFICATION && is_of_unknown_authority(reason)) {
    return " (of an authority of your own? --ca-file FILE, in Python ca_file=)";
  }
  if (is_of_proxy(url, code, reason)) {
    return " (that is the proxy which https_proxy, http_proxy or all_proxy names)";
  }
  if (!is_https && code == CURLE_GOT_NOTHING) return " (does it want https://?)";
  const bool in_handshake = code == CURLE_SSL_CONNECT_ERROR || reason.starts_with("SSL connection");
  return is_https && in_handshake ? " (does it speak http:// only?)" : "";
}

// Asked by curl about once a second while nothing comes, more often otherwise. Not 0 ends the
// transfer.
int is_abandoned(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::stop_token*>(user)->stop_requested() ? 1 : 0;
}

class HttpTransport final : public Transport {
 public:
  explicit HttpTransport(HttpOptions options) : options_(std::move(options)) {
    while (options_.endpoint.ends_with('/')) options_.endpoint.pop_back();
    is_here_ = is_this_machine(options_.endpoint);
  }

  Result<Reply> post(std::string_view path, std::string_view content_type,
                     std::string_view body) override {
    curl_slist* raw =
        curl_slist_append(nullptr, fmt::format("Content-Type: {}", content_type).c_str());
    // No round trip to ask whether the body may come.
    raw = curl_slist_append(raw, "Expect:");
    return perform(path, raw, body, options_.request_timeout_ms);
  }

  Result<Reply> get(std::string_view path) override {
    return perform(path, nullptr, {}, options_.get_timeout_ms);
  }

 private:
  // A POST where there is a body, else a GET. Takes `raw`, the method's own headers, over.
  Result<Reply> perform(std::string_view path, curl_slist* raw,
                        std::optional<std::string_view> body, int64_t timeout_ms) {
    CurlEasy easy = pool_.take();
    if (easy == nullptr) {
      curl_slist_free_all(raw);
      return Status(Code::kInternal, "libcurl has no memory to start");
    }
    std::array<char, CURL_ERROR_SIZE> error{};
    Reply reply;
    const std::string url = options_.endpoint + std::string(path);
    // ngrok's free plan puts a page of its own before what looks like a browser; others ignore it.
    raw = curl_slist_append(raw, "ngrok-skip-browser-warning: 1");
    if (!options_.token.empty()) {
      raw = curl_slist_append(raw, fmt::format("Authorization: Bearer {}", options_.token).c_str());
    }
    const CurlList headers(raw);
    curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(easy.get(), CURLOPT_PROTOCOLS_STR, "http,https");
    if (body) {
      curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDS, body->data());
      curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(body->size()));
    }
    curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(easy.get(), CURLOPT_CONNECTTIMEOUT_MS,
                     static_cast<long>(options_.connect_timeout_ms));
    curl_easy_setopt(easy.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_ms));
    curl_easy_setopt(easy.get(), CURLOPT_NOSIGNAL, 1L);
    // A name server that does not answer is waited for by a thread of libcurl's, half a minute and
    // more; without this, past every limit of time and every request to stop.
    curl_easy_setopt(easy.get(), CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy.get(), CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy.get(), CURLOPT_XFERINFOFUNCTION, is_abandoned);
    curl_easy_setopt(easy.get(), CURLOPT_XFERINFODATA, &options_.abandon);
    curl_easy_setopt(easy.get(), CURLOPT_ERRORBUFFER, error.data());
    if (is_here_) curl_easy_setopt(easy.get(), CURLOPT_PROXY, "");
    if (!options_.ca_file.empty()) {
      curl_easy_setopt(easy.get(), CURLOPT_CAINFO, options_.ca_file.c_str());
    }
    curl_easy_setopt(easy.get(), CURLOPT_HEADERFUNCTION, note_header);
    curl_easy_setopt(easy.get(), CURLOPT_HEADERDATA, &reply);
    curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &reply.body);
    const CURLcode code = curl_easy_perform(easy.get());
    if (code != CURLE_OK) {
      const char* reason = error[0] != '\0' ? error.data() : curl_easy_strerror(code);
      return Status(Code::kUnavailable, fmt::format("{}: {}{}", without_password(url), reason,
                                                    endpoint_hint(url, code, reason)));
    }
    long status = 0;
    curl_off_t retry_after_s = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy.get(), CURLINFO_RETRY_AFTER, &retry_after_s);
    reply.status = static_cast<int>(status);
    if (retry_after_s > 0) reply.retry_after_ms = retry_after_s * 1000;
    pool_.give_back(std::move(easy));
    return reply;
  }

  HttpOptions options_;
  bool is_here_ = false;
  CurlPool pool_;
};

}  // namespace

std::unique_ptr<Transport> make_http_transport(const HttpOptions& options) {
  return std::make_unique<HttpTransport>(options);
}

}  // namespace ca4::producer
