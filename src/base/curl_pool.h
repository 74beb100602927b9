// libcurl's handles, freed when they go out of scope, and kept for the next request. Who includes
// this links libcurl.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace ca4 {

struct FreeCurlEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
using CurlEasy = std::unique_ptr<CURL, FreeCurlEasy>;

struct FreeCurlList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using CurlList = std::unique_ptr<curl_slist, FreeCurlList>;

// A handle keeps its connections open; there are as many as there were requests at once.
// Thread-safe.
class CurlPool {
 public:
  // Starts libcurl. Counted by curl; not undone, since other parts of the program may use curl as
  // well.
  CurlPool() { curl_global_init(CURL_GLOBAL_DEFAULT); }

  // Null when libcurl has no memory to start.
  CurlEasy take() {
    const std::scoped_lock lock(mutex_);
    if (idle_.empty()) return CurlEasy(curl_easy_init());
    CurlEasy easy = std::move(idle_.back());
    idle_.pop_back();
    return easy;
  }

  // One whose transfer failed is not to be given back.
  void give_back(CurlEasy easy) {
    curl_easy_reset(easy.get());
    const std::scoped_lock lock(mutex_);
    idle_.push_back(std::move(easy));
  }

 private:
  std::mutex mutex_;
  std::vector<CurlEasy> idle_;  // guarded by mutex_
};

}  // namespace ca4
