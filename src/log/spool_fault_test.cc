// The spooled log under random faults and kill -9: what was acknowledged is in the target, in the
// order of each key, and no more often than the faults explain.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <random>
#include <set>
#include <thread>

#include "log/spool_test_support.h"

namespace ca4::log {
namespace {

using Fault = FakeTarget::Fault;

// What clients were told: per key the numbers that were acknowledged, in order.
using Acknowledged = std::map<std::string, std::vector<int>>;

std::string value_of(const std::string& key, int number) {
  return key + ":" + std::to_string(number);
}

// Checks `records` against what was acknowledged; returns how many of them are there once more.
size_t check(const std::vector<Record>& records, const Acknowledged& acknowledged) {
  std::map<std::string, std::vector<int>> first;  // in the order in which they first appear
  std::set<std::string> seen;
  size_t again = 0;
  for (const Record& record : records) {
    EXPECT_TRUE(record.value.starts_with(record.key + ":"));
    if (!seen.insert(record.value).second) {
      ++again;
      continue;
    }
    first[record.key].push_back(std::stoi(record.value.substr(record.key.size() + 1)));
  }
  for (const auto& [key, numbers] : first) {
    EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end())) << "order of key " << key;
  }
  for (const auto& [key, numbers] : acknowledged) {
    for (const int number : numbers) {
      EXPECT_TRUE(seen.contains(value_of(key, number))) << value_of(key, number) << " is lost";
    }
  }
  return again;
}

class SpoolFaultTest : public SpoolTest {
 protected:
  // A client with several requests under way, each with a key of its own; the next request of a key
  // begins when the last is answered.
  void run_client(const std::string& name, const std::atomic<bool>& over) {
    constexpr int kKeys = 3;
    Acknowledged mine;
    for (int number = 0; !over; ++number) {
      std::vector<Answer> answers;
      for (int k = 0; k < kKeys; ++k) {
        const std::string key = name + std::to_string(k);
        answers.push_back(append_later(key, value_of(key, number)));
      }
      for (int k = 0; k < kKeys; ++k) {
        if (answers[static_cast<size_t>(k)].get()) mine[name + std::to_string(k)].push_back(number);
      }
    }
    std::lock_guard lock(mutex_);
    acknowledged_.merge(mine);
  }

  void play_faults(uint32_t seed, int turns) {
    std::minstd_rand random(seed);
    constexpr Fault kFaults[] = {Fault::kNone,  Fault::kAway, Fault::kNone,   Fault::kAckLost,
                                 Fault::kHangs, Fault::kFull, Fault::kAckLost};
    for (int i = 0; i < turns; ++i) {
      target_->set(kFaults[random() % std::size(kFaults)]);
      target_->set_honest(random() % 2 == 0);
      target_->set_delay_us(static_cast<int64_t>(random() % 300));
      // Anywhere in an append, a turn, a return.
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 60'000));
    }
    target_->set_honest(true);
    target_->set_delay_us(0);
    target_->set(Fault::kNone);
  }

  Acknowledged acknowledged_;  // guarded by mutex_
};

TEST_F(SpoolFaultTest, EveryAcknowledgedRecordArrivesInOrderUnderRandomFaults) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  options_.stall_ms_max = 100;
  open();
  std::atomic<bool> over = false;
  std::vector<std::thread> clients;
  for (char name = 'a'; name < 'g'; ++name) {
    clients.emplace_back([&, name] { run_client(std::string(1, name), over); });
  }
  play_faults(seed, 60);
  over = true;
  for (std::thread& client : clients) client.join();
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_TRUE(append("after", "after:0").is_ok());

  const std::vector<Record> records = target_records();
  const size_t again = check(records, acknowledged_);
  size_t explained = status().given_up;
  for (const auto& [key, numbers] : acknowledged_) {
    EXPECT_GT(numbers.size(), 5U) << key;
    for (const int number : numbers) {
      explained += static_cast<size_t>(target_->lost_acks(value_of(key, number)));
    }
  }
  EXPECT_LE(again, explained);
  EXPECT_GT(status().turns, 1U);
  EXPECT_EQ(status().refused, 0U);
}

// --- kill -9 ---

constexpr size_t kBatchMax = 16;

SpooledLogOptions crash_options() {
  SpooledLogOptions options = quick();
  options.batch_records_max = kBatchMax;
  // The fake target answers always: nothing is to be given up only because the machine is busy.
  options.turn_ms_max = 600'000;
  return options;
}

std::unique_ptr<SpooledLog> open_in(const std::string& dir, const Clock& clock,
                                    FakeTarget*& target) {
  auto inner = EmbeddedLog::open({.dir = dir}, clock);
  auto spool = EmbeddedLog::open(spool_options(dir + "/outbox.db"), clock);
  if (!inner || !spool) return nullptr;
  auto fake = std::make_unique<FakeTarget>(std::move(*inner));
  target = fake.get();
  auto log =
      SpooledLog::open(std::move(*spool), std::move(fake), no_letters(), crash_options(), clock);
  return log ? std::move(*log) : nullptr;
}

struct Told {
  int32_t client;
  int32_t number;
};

// Appends from four threads to a target that comes and goes, until it is killed.
int append_for_ever(const std::string& dir, int round, int pipe) {
  const SystemClock clock;
  FakeTarget* target = nullptr;
  const auto log = open_in(dir, clock, target);
  if (!log) return 1;
  std::vector<std::thread> threads;
  for (int32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::string key = std::to_string(t);
      for (int32_t i = 1'000'000 * round;; ++i) {
        if (!append_and_wait(*log, {{key, value_of(key, i), {}}})) _exit(2);
        const Told told{t, i};
        if (write(pipe, &told, sizeof told) != sizeof told) _exit(3);
      }
    });
  }
  for (bool away = true;; away = !away) {
    target->set(away ? Fault::kAway : Fault::kNone);
    std::this_thread::sleep_for(std::chrono::milliseconds(away ? 30 : 15));
  }
}

void run_and_kill_after(size_t acknowledgements, const std::string& dir, int round,
                        Acknowledged& acknowledged) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) _exit(append_for_ever(dir, round, ends[1]));
  close(ends[1]);
  Told told{};
  for (size_t count = 1; read(ends[0], &told, sizeof told) == sizeof told; ++count) {
    acknowledged[std::to_string(told.client)].push_back(told.number);
    if (count == acknowledgements) kill(child, SIGKILL);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself, code " << WEXITSTATUS(status);
  close(ends[0]);
}

TEST(SpoolCrash, KillMinusNineLosesNothingAndSendsAgainNoMoreThanABatch) {
  const TempDir dir;
  Acknowledged acknowledged;
  constexpr size_t kMoments[] = {120, 1, 80, 37, 200, 5, 150};
  int round = 0;
  for (const size_t moment : kMoments) {
    run_and_kill_after(moment, dir.path(), ++round, acknowledged);
  }
  const SystemClock clock;
  FakeTarget* target = nullptr;
  const auto log = open_in(dir.path(), clock, target);
  ASSERT_NE(log, nullptr);
  ASSERT_TRUE(eventually([&] { return log->outbox()->state == OutboxState::kDirect; }));
  std::vector<Record> records;
  const NextRecords next = read_to_end(*log).value();
  for (auto some = next().value(); !some.empty(); some = next().value()) {
    records.insert(records.end(), some.begin(), some.end());
  }
  const size_t again = check(records, acknowledged);
  EXPECT_LE(again, std::size(kMoments) * kBatchMax);
  EXPECT_GE(records.size(), 593U);
}

}  // namespace
}  // namespace ca4::log
