// Whether an address is on this very machine. Who includes this links libcurl.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <string>
#include <string_view>

namespace ca4 {

// The variables that name proxies (http_proxy) mean the world outside: a proxy would look for this
// machine's processor on its own machine.
inline bool is_this_machine(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), curl_url_cleanup);
  char* raw = nullptr;
  if (parsed == nullptr || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK ||
      curl_url_get(parsed.get(), CURLUPART_HOST, &raw, 0) != CURLUE_OK) {
    return false;
  }
  const std::unique_ptr<char, decltype(&curl_free)> host(raw, curl_free);
  const std::string_view name(host.get());
  return name == "localhost" || name.starts_with("127.") || name == "[::1]";
}

}  // namespace ca4
