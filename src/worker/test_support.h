// For tests: events, a loop on a thread of its own, and waiting for what it does.
#pragma once

#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "event/event.h"
#include "log/event_log.h"

namespace ca4::worker {

inline event::Event make_event(const std::string& id, uint64_t version,
                               const std::string& more = "") {
  event::Event event;
  event.metadata_id = id;
  event.meta_json = R"({"metadata_id":")" + id +
                    R"(","source_uri":null,"embedding_dim":2,"gpu_hardware":null,)"
                    R"("extra":{"pipeline":"test"})" +
                    more + "}";
  event.embedding = {3.0F, 4.0F};
  event.ingested_at_us = 1'700'000'000'000'000;
  event.version = version;
  return event;
}

inline log::NewRecord make_record(const std::string& id, uint64_t version,
                                  const std::string& more = "") {
  return {id, event::encode(make_event(id, version, more)), {{"trace", "t-" + id}}};
}

// Runs a Worker or Archiver until it is destroyed or told to stop.
template <class Runner>
class Running {
 public:
  explicit Running(Runner& runner) : runner_(runner), thread_([&runner] { runner.run(); }) {}
  ~Running() { stop(); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  // How long run() took to return.
  std::chrono::milliseconds stop() {
    const auto start = std::chrono::steady_clock::now();
    runner_.stop();
    wait();
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                 start);
  }
  void wait() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  Runner& runner_;
  std::thread thread_;
};

// False when `done` isn't true within ten seconds: enough for a busy machine, short of the test
// runner's own limit.
inline bool eventually(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

inline bool has_metric(const prometheus::Registry& registry, const std::string& line) {
  return prometheus::TextSerializer().Serialize(registry.Collect()).find(line + "\n") !=
         std::string::npos;
}

}  // namespace ca4::worker
