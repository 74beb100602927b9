#include "base/child_process.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace ca4 {
namespace {

using testing::HasSubstr;

template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

std::unique_ptr<ChildProcess> shell(const std::string& script) {
  Result<std::unique_ptr<ChildProcess>> child = ChildProcess::start({"sh", "-c", script});
  EXPECT_TRUE(child) << child.status().to_string();
  return std::move(*child);
}

// A number that the script printed on a line of its own.
pid_t printed_pid(ChildProcess& child) {
  EXPECT_TRUE(eventually([&] { return child.output().find('\n') != std::string::npos; }));
  return std::stoi(child.output());
}

bool is_gone(pid_t pid) {
  return kill(pid, 0) != 0 && errno == ESRCH;
}

TEST(ChildProcess, AProgramThatIsNotThereIsNotFound) {
  const auto child = ChildProcess::start({"no-such-program-of-ca4"});
  EXPECT_EQ(child.status().code(), Code::kNotFound);
  EXPECT_THAT(child.status().message(), HasSubstr("no-such-program-of-ca4"));
}

TEST(FindProgram, AsAShellFindsIt) {
  EXPECT_EQ(find_program("/bin/sh"), "/bin/sh");
  EXPECT_THAT(find_program("sh"), testing::EndsWith("/sh"));
  EXPECT_EQ(find_program("no-such-program-of-ca4"), "");
  EXPECT_EQ(find_program("/etc/passwd"), "");
  EXPECT_EQ(find_program("/bin"), "");  // a folder
}

TEST(ChildProcess, ItsEndAndItsWordsAreKept) {
  const auto child = shell("echo out; echo err >&2; exit 7");
  ASSERT_TRUE(eventually([&] { return child->ended().has_value(); }));
  EXPECT_EQ(*child->ended(), "exit code 7");
  EXPECT_EQ(child->output(), "out\nerr\n");
  EXPECT_EQ(child->news(), "out\nerr\n");
  EXPECT_EQ(child->news(), "");
}

TEST(ChildProcess, NewsAreWaitedForAsLongAsAsked) {
  const auto child = shell("sleep 0.3; echo late; sleep 1000");
  EXPECT_EQ(child->news(), "");
  EXPECT_EQ(child->news(60'000), "late\n");
  EXPECT_EQ(child->news(1), "");
}

TEST(ChildProcess, OneThatClosesItsOutputsIsWaitedForAllTheSame) {
  const auto child = shell("echo last; exec >&- 2>&-; sleep 1000");
  ASSERT_TRUE(eventually([&] { return child->output() == "last\n"; }));
  (void)child->news();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(child->news(1), "");  // sees that nothing can come
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(child->news(100), "");
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(100));
}

TEST(ChildProcess, OnlyTheNewestOfManyWordsIsKept) {
  const auto child = shell("i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done");
  ASSERT_TRUE(eventually([&] {
    (void)child->output();
    return child->ended().has_value();
  }));
  EXPECT_EQ(child->output().size(), ChildProcess::kOutputBytesMax);
  EXPECT_TRUE(child->output().ends_with("line 4999\n"));
}

TEST(ChildProcess, TakesSignalsThatWeBlock) {
  sigset_t blocked;
  sigset_t before;
  sigfillset(&blocked);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto child = shell("kill -TERM $$; echo survived");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(eventually([&] { return child->ended().has_value(); }));
  EXPECT_EQ(*child->ended(), "signal 15 (TERM)");
}

TEST(ChildProcess, StopEndsAlsoWhatIgnoresItAndWhatItStarted) {
  const auto child = shell("trap '' TERM; sleep 1000 & echo $!; while :; do wait; done");
  const pid_t grandchild = printed_pid(*child);
  child->stop(50);
  EXPECT_EQ(*child->ended(), "signal 9 (KILL)");
  EXPECT_TRUE(eventually([&] { return is_gone(grandchild); }));
}

TEST(ChildProcess, EndAsksFromAnotherThread) {
  const auto child = shell("sleep 1000");
  std::thread([&] { child->end(); }).join();
  ASSERT_TRUE(eventually([&] { return child->ended().has_value(); }));
  EXPECT_EQ(*child->ended(), "signal 15 (TERM)");
  child->end();  // nobody is there any more
}

// A process of its own starts a child with a child, says who they are, and waits to be killed.
[[noreturn]] void parent_to_kill(int out) {
  const auto child = shell("sleep 1000 & echo $!; wait");
  const pid_t pids[] = {child->pid(), printed_pid(*child)};
  if (write(out, pids, sizeof pids) != sizeof pids) _exit(1);
  for (;;) pause();
}

TEST(ChildProcess, DiesWithUsAndSoDoItsOwnChildrenAlsoByKill9) {
  // Orphans come to us, so that they are gone once they are dead.
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t parent = fork();
  if (parent == 0) parent_to_kill(ends[1]);
  pid_t pids[2] = {};
  ASSERT_EQ(read(ends[0], pids, sizeof pids), static_cast<ssize_t>(sizeof pids));
  EXPECT_FALSE(is_gone(pids[0]));
  EXPECT_FALSE(is_gone(pids[1]));
  ASSERT_EQ(kill(parent, SIGKILL), 0);
  EXPECT_TRUE(eventually([&] {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    return is_gone(pids[0]) && is_gone(pids[1]);
  }));
  prctl(PR_SET_CHILD_SUBREAPER, 0);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace ca4
