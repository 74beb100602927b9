// For tests: an environment that is made up, and a server that answers from a list.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "aws/environment.h"
#include "aws/http.h"

namespace ca4::aws {

inline Environment environment_of(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

// Keeps what was asked. Thread-safe.
class FakeHttp final : public Http {
 public:
  struct Asked {
    std::string method, url, body;
    std::vector<std::string> headers;
    bool direct = false;
  };
  using Answer = std::function<Result<HttpReply>(const Asked&)>;

  explicit FakeHttp(Answer answer) : answer_(std::move(answer)) {}

  Result<HttpReply> send(const HttpRequest& request) override {
    Asked asked{request.method, request.url, std::string(request.body), request.headers,
                request.direct};
    const std::lock_guard lock(mutex_);
    asked_.push_back(asked);
    return answer_(asked);
  }
  std::vector<Asked> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  const Answer answer_;
  std::mutex mutex_;
  std::vector<Asked> asked_;
};

inline Result<HttpReply> reply(int status, std::string body = "") {
  return HttpReply{status, {}, std::move(body)};
}

inline Result<HttpReply> no_reply(const FakeHttp::Asked& asked) {
  return Status(Code::kUnavailable, asked.url + ": connection refused");
}

}  // namespace ca4::aws
