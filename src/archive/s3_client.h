// Requests to one bucket: signed, sent, tried again where that can help.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "archive/s3_address.h"
#include "archive/s3_answer.h"
#include "aws/credentials.h"
#include "aws/http.h"
#include "aws/sigv4.h"
#include "base/clock.h"
#include "base/status.h"

namespace ca4::archive {

// How often a request is tried inside one call. Short: who waits for an archive that is away (the
// archiver) tries again for ever, with pauses of its own, and must be able to stop meanwhile.
struct S3Retries {
  int attempts_max = 4;
  int64_t pause_ms_min = 100;  // doubled each time; waited is a random part of it
  int64_t pause_ms_max = 2'000;
  int64_t total_ms_max = 10'000;  // no try begins later than this after the first
};

// Of each request, for metrics: "ok", "not_found", "throttled", "server_error", "refused",
// "unreachable".
using OnS3Result = std::function<void(std::string_view result)>;

struct S3Connection {
  std::string bucket;
  std::string region;
  S3Address address;
  std::shared_ptr<aws::Http> http;
  std::shared_ptr<aws::CredentialsProvider> credentials;
  const Clock* clock = nullptr;  // must outlive the client
  S3Retries retries = {};
  OnS3Result on_result = nullptr;                   // may be empty
  std::function<void(int64_t ms)> pause = nullptr;  // empty: sleeps
};

struct S3Request {
  std::string method;
  std::string key = {};  // empty: the bucket
  aws::Query query = {};
  std::map<std::string, std::string> headers = {};  // names in lower case
  std::string_view body = {};                       // must outlive the call
  // How is it now? One try (and one with new keys), given up after some seconds of silence.
  bool once = false;
};

// Thread-safe.
class S3Client {
 public:
  explicit S3Client(S3Connection connection) : connection_(std::move(connection)) {}

  // The answer of a request that S3 granted. Otherwise what is wrong and what to do: kUnavailable
  // and kOverloaded will pass, kConfig somebody must mend, kNotFound for an object that is not
  // there.
  Result<aws::HttpReply> send(const S3Request& request);

  const std::string& bucket() const { return connection_.bucket; }

 private:
  struct Attempt;
  Attempt attempt(const S3Request& request);
  Attempt judge(Result<aws::HttpReply> reply, const S3Request& request,
                const aws::Credentials& credentials);
  void count(std::string_view result) const;
  bool wait_before_next(int failures, int64_t began_ms, int64_t asked_ms);

  const S3Connection connection_;
};

}  // namespace ca4::archive
