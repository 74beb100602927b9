// What holds across processes: kill -9, a reader beside a writer, a file that can't grow. Each test
// forks before it has threads of its own.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <map>
#include <thread>

#include "base/test_dir.h"
#include "log/embedded_log.h"
#include "log/event_log_conformance.h"

namespace ca4::log {
namespace {

using testing::SizeIs;

// Runs `body` in a child that ends with its return value, without the test's own clean-up.
pid_t in_child(const std::function<int()>& body) {
  const pid_t pid = fork();
  if (pid == 0) _exit(body());
  return pid;
}

int wait_for(pid_t pid) {
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return status;
}

std::string value_of(int appender, int number) {
  std::string value = std::to_string(appender) + ":" + std::to_string(number) + ":";
  value.resize(3'000 + static_cast<size_t>(number % 7) * 2'000, 'v');
  return value;
}

struct Acknowledged {
  int32_t appender;
  int32_t number;
  int64_t offset;
};

// Appends from four threads until it is killed, telling every acknowledgement through `pipe`.
int append_for_ever(const std::string& dir, int pipe) {
  SystemClock clock;
  auto log = EmbeddedLog::open({.dir = dir}, clock);
  if (!log) return 1;
  std::vector<std::thread> threads;
  for (int32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int32_t i = 0;; ++i) {
        auto done = append_and_wait(**log, {{"k", value_of(t, i), {}}});
        if (!done) _exit(2);
        const Acknowledged told{t, i, done->at(0).offset};
        if (write(pipe, &told, sizeof told) != sizeof told) _exit(3);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return 0;
}

// What was acknowledged until the kill, which comes when that many were.
std::vector<Acknowledged> run_and_kill_after(const std::string& dir, size_t acknowledgements) {
  int pipe_ends[2];
  EXPECT_EQ(pipe(pipe_ends), 0);
  const pid_t child = in_child([&] { return append_for_ever(dir, pipe_ends[1]); });
  close(pipe_ends[1]);
  std::vector<Acknowledged> told;
  Acknowledged one{};
  while (read(pipe_ends[0], &one, sizeof one) == sizeof one) {
    told.push_back(one);
    if (told.size() == acknowledgements) kill(child, SIGKILL);
  }
  const int status = wait_for(child);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself, code " << WEXITSTATUS(status);
  close(pipe_ends[0]);
  return told;
}

TEST(EmbeddedLogCrash, EveryAcknowledgedRecordSurvivesKillMinusNine) {
  TempDir dir;
  std::map<int64_t, std::string> acknowledged;
  for (const size_t acknowledgements : {150, 1, 200, 37, 130}) {
    for (const Acknowledged& told : run_and_kill_after(dir.path(), acknowledgements)) {
      const bool fresh =
          acknowledged.emplace(told.offset, value_of(told.appender, told.number)).second;
      EXPECT_TRUE(fresh) << "offset " << told.offset << " was given twice";
    }
  }
  ASSERT_GE(acknowledged.size(), 500U);
  SystemClock clock;
  auto log = EmbeddedLog::open({.dir = dir.path()}, clock);
  ASSERT_TRUE(log.is_ok()) << log.status().to_string();
  const std::vector<Record> records = poll_all(*(*log)->consumer("g").value());
  for (const Record& record : records) {
    const auto told = acknowledged.find(record.position.offset);
    if (told == acknowledged.end()) continue;
    EXPECT_TRUE(record.value == told->second) << "offset " << record.position.offset;
    acknowledged.erase(told);
  }
  EXPECT_THAT(acknowledged, SizeIs(0));
}

TEST(EmbeddedLogCrash, ReaderOfAnotherProcessSeesWhatIsAppendedMeanwhile) {
  TempDir dir;
  const pid_t reader = in_child([&] {
    SystemClock clock;
    auto log =
        EmbeddedLog::open({.dir = dir.path(), .mode = EmbeddedLogOptions::Mode::kReader}, clock);
    if (!log) return 1;
    auto consumer = (*log)->consumer("g").value();
    int next = 0;
    for (int polls = 0; polls < 200 && next < 300; ++polls) {
      auto polled = consumer->poll({.records_max = 50, .wait_ms_max = 100});
      if (!polled) return 2;
      for (const Record& record : *polled) {
        if (record.value != std::to_string(next++)) return 3;
      }
      if (!polled->empty() && !consumer->commit({{0, next}}).is_ok()) return 4;
    }
    return next == 300 ? 0 : 5;
  });
  SystemClock clock;
  auto log = EmbeddedLog::open({.dir = dir.path()}, clock);
  ASSERT_TRUE(log.is_ok());
  for (int i = 0; i < 300; ++i) {
    append_values(**log, {std::to_string(i)});
    if (i % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const int status = wait_for(reader);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ((*log)->lag("g").value()[0].lag(), 0);
}

TEST(EmbeddedLogCrash, WriterProcessKeepsOthersOutUntilItDies) {
  TempDir dir;
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t writer = in_child([&] {
    SystemClock clock;
    auto log = EmbeddedLog::open({.dir = dir.path()}, clock);
    const char opened = log.is_ok() ? 'y' : 'n';
    if (write(pipe_ends[1], &opened, 1) != 1) return 1;
    for (;;) pause();
  });
  char opened = 0;
  ASSERT_EQ(read(pipe_ends[0], &opened, 1), 1);
  EXPECT_EQ(opened, 'y');
  SystemClock clock;
  EXPECT_EQ(EmbeddedLog::open({.dir = dir.path()}, clock).status().code(), Code::kUnavailable);
  kill(writer, SIGKILL);
  wait_for(writer);
  EXPECT_TRUE(EmbeddedLog::open({.dir = dir.path()}, clock).is_ok());
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

// The child may write files of at most 1 MiB; the limit goes up again in the middle.
int fill_then_recover(const std::string& dir) {
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlim_t generous = limit.rlim_cur;
  limit.rlim_cur = 1U << 20;
  setrlimit(RLIMIT_FSIZE, &limit);
  SystemClock clock;
  auto log = EmbeddedLog::open({.dir = dir}, clock);
  if (!log) return 1;
  const std::string value(9'000, 'x');
  size_t kept = 0;
  Status refusal;
  while (refusal.is_ok() && kept < 1000) {
    auto done = append_and_wait(**log, {{"k", value, {}}, {"k", value, {}}});
    refusal = done.status();
    if (done) kept += 2;
  }
  if (refusal.code() != Code::kIo) return 2;
  if ((*log)->ready().is_ok()) return 3;
  limit.rlim_cur = generous;
  setrlimit(RLIMIT_FSIZE, &limit);
  auto after = append_and_wait(**log, {{"k", "after", {}}});
  if (!after || after->at(0).offset != static_cast<int64_t>(kept)) return 4;
  const std::vector<Record> records = poll_all(*(*log)->consumer("g").value());
  if (records.size() != kept + 1 || records.back().value != "after") return 5;
  return (*log)->ready().is_ok() ? 0 : 6;
}

TEST(EmbeddedLogCrash, FileThatCanNotGrowIsAnIoErrorAndTheLogRecovers) {
  TempDir dir;
  const int status = wait_for(in_child([&] { return fill_then_recover(dir.path()); }));
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  SystemClock clock;
  auto log = EmbeddedLog::open({.dir = dir.path()}, clock);
  ASSERT_TRUE(log.is_ok()) << log.status().to_string();
  EXPECT_EQ((*log)->newest().value().at(0).value, "after");
}

// Wherever the disk is full at the very first start, the next start finds a log or none.
TEST(EmbeddedLogCrash, FirstStartOnAFullDiskLeavesNothingThatCanNotBeOpened) {
  for (rlim_t bytes = 4096; bytes <= 20 * 4096; bytes += 4096) {
    TempDir dir;
    wait_for(in_child([&] {
      signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{bytes, RLIM_INFINITY};
      setrlimit(RLIMIT_FSIZE, &limit);
      SystemClock clock;
      return EmbeddedLog::open({.dir = dir.path()}, clock).is_ok() ? 0 : 1;
    }));
    SystemClock clock;
    auto log = EmbeddedLog::open({.dir = dir.path()}, clock);
    ASSERT_TRUE(log.is_ok()) << bytes << ": " << log.status().to_string();
    EXPECT_TRUE(append_and_wait(**log, {{"k", "v", {}}}));
  }
}

}  // namespace
}  // namespace ca4::log
