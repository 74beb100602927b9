#include "tap/tap_service.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http/job_pool.h"
#include "http/parameters.h"
#include "http/problem.h"
#include "tap/tap.h"

namespace ca4::tap {
namespace {

using std::chrono::steady_clock;

// A team; each may hold as much as a scan of the log reads ahead (16 MiB of Kafka).
constexpr size_t kSessionsMax = 4;
// As many wait at once as there may be sessions: none waits for another.
constexpr size_t kThreads = kSessionsMax;
constexpr int64_t kWaitMs = 500;
constexpr int kRetryAfterS = 1;

constexpr std::string_view kParameters[] = {"id", "pipeline", "model", "rate", "full", "session"};

struct Session {
  std::mutex mutex;  // of the tap
  std::unique_ptr<Tap> tap;
};

// Nobody guesses another's.
std::string new_name() {
  std::array<unsigned char, 16> bytes{};
  RAND_bytes(bytes.data(), bytes.size());
  std::string out;
  for (const unsigned char byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

}  // namespace

struct TapService::Impl {
  struct Entry {
    std::shared_ptr<Session> session;
    steady_clock::time_point asked_at;
  };

  Impl(log::EventLog& events, std::chrono::milliseconds idle)
      : log(events), idle_max(idle), tidier([this] { tidy(); }) {}

  ~Impl() {
    {
      const std::scoped_lock lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    tidier.join();
  }

  // Ends the sessions that nobody asks for, so that they hold neither memory nor files.
  void tidy() {
    std::unique_lock lock(mutex);
    while (!stopping) {
      wake.wait_for(lock, idle_max / 4);
      std::vector<std::shared_ptr<Session>> ended;
      const auto now = steady_clock::now();
      for (auto at = sessions.begin(); at != sessions.end();) {
        auto& [session, asked_at] = at->second;
        if (session.use_count() > 1) asked_at = now;  // in an answer
        const bool over = now - asked_at >= idle_max;
        if (over) ended.push_back(std::move(session));
        at = over ? sessions.erase(at) : std::next(at);
      }
      lock.unlock();
      ended.clear();
      lock.lock();
    }
  }

  std::shared_ptr<Session> find(const std::string& name) {
    const std::scoped_lock lock(mutex);
    const auto found = sessions.find(name);
    if (found == sessions.end()) return nullptr;
    found->second.asked_at = steady_clock::now();
    return found->second.session;
  }

  // kOverloaded: there are too many. Nobody knows the name before it is answered.
  Result<std::shared_ptr<Session>> begin(const std::string& name, TapFilter filter) {
    auto session = std::make_shared<Session>();
    {
      const std::scoped_lock lock(mutex);
      if (sessions.size() >= kSessionsMax) {
        return Status(Code::kOverloaded,
                      fmt::format("{} watch already, which is the most", kSessionsMax));
      }
      sessions[name] = {session, steady_clock::now()};
    }
    Result<std::unique_ptr<Tap>> tap = Tap::open(log, std::move(filter));
    if (!tap) {
      const std::scoped_lock lock(mutex);
      sessions.erase(name);
      return tap.status();
    }
    session->tap = std::move(*tap);
    return session;
  }

  http::Response answer(const http::Request& request) {
    http::Parameters given;
    TapFilter filter;
    std::optional<http::ParameterError> wrong =
        http::Parameters::parse(request.query, kParameters, given);
    if (!wrong) wrong = given.number("rate", 1, kPerSecondMax, filter.per_second_max);
    if (wrong) return http::problem(400, wrong->name + " " + wrong->reason, wrong->name);
    std::string name = given.text("session").value_or("");
    std::shared_ptr<Session> session;
    if (name.empty()) {
      name = new_name();
      filter.id = given.text("id").value_or("");
      filter.pipeline = given.text("pipeline").value_or("");
      filter.model = given.text("model").value_or("");
      filter.full = given.text("full").value_or("0") == "1";
      Result<std::shared_ptr<Session>> begun = begin(name, std::move(filter));
      if (!begun) return http::problem_retry(503, begun.status().message(), kRetryAfterS);
      session = std::move(*begun);
    } else if (session = find(name); session == nullptr) {
      return http::problem(404, "there is no such session, or it ended; ask without one",
                           "session");
    }
    const std::scoped_lock lock(session->mutex);
    const Result<TapLines> lines = session->tap->next(kWaitMs);
    if (!lines) return http::problem_retry(503, lines.status().message(), kRetryAfterS);
    return http::Response{
        .content_type = "application/x-ndjson",
        .headers = {{"Cache-Control", "no-store"}},
        .body = lines->text + fmt::format(R"({{"tap":{{"session":"{}","left_out":{}}}}})"
                                          "\n",
                                          name, lines->left_out)};
  }

  log::EventLog& log;
  const std::chrono::milliseconds idle_max;
  std::mutex mutex;
  std::condition_variable wake;
  std::map<std::string, Entry> sessions;       // guarded by mutex
  bool stopping = false;                       // guarded by mutex
  http::JobPool pool{kThreads, kSessionsMax};  // after what its jobs use
  std::thread tidier;                          // the same
};

TapService::TapService(log::EventLog& log, std::chrono::milliseconds idle_max)
    : impl_(std::make_unique<Impl>(log, idle_max)) {}
TapService::~TapService() = default;

http::Handler TapService::handler() {
  return http::pooled(
      impl_->pool, "too many questions wait already",
      [impl = impl_.get()](const http::Request& request) { return impl->answer(request); });
}

}  // namespace ca4::tap
