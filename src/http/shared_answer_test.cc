#include "http/shared_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <semaphore>
#include <string>
#include <vector>

namespace ca4::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class SharedAnswerTest : public testing::Test {
 protected:
  // The n-th answer is "n", and is given when the test lets it go.
  Response make() {
    const int number = ++made_;
    begun_.set_value();
    begun_ = {};
    gate_.acquire();
    return Response{.body = std::to_string(number)};
  }

  std::future<std::string> ask(SharedAnswer& shared) {
    auto answer = std::make_shared<std::promise<std::string>>();
    shared.handler()(Request{}, [answer](const Response& given) { answer->set_value(given.body); });
    return answer->get_future();
  }

  std::promise<void> begun_;
  std::counting_semaphore<> gate_{0};
  std::atomic<int> made_{0};
};

TEST_F(SharedAnswerTest, WhoAsksMeanwhileSharesTheNextOneAndGetsNoOlder) {
  std::future<void> begun = begun_.get_future();
  SharedAnswer shared([this] { return make(); }, milliseconds(0));
  std::future<std::string> first = ask(shared);
  begun.wait();
  std::vector<std::future<std::string>> meanwhile;
  for (int i = 0; i < 100; ++i) meanwhile.push_back(ask(shared));
  gate_.release(2);
  EXPECT_EQ(first.get(), "1");
  for (auto& one : meanwhile) EXPECT_EQ(one.get(), "2");
  EXPECT_EQ(made_, 2);
}

TEST_F(SharedAnswerTest, ItIsMadeNoMoreOftenThanItMayBe) {
  gate_.release(3);
  SharedAnswer shared([this] { return make(); }, milliseconds(100));
  const auto began = steady_clock::now();
  for (const char* number : {"1", "2", "3"}) EXPECT_EQ(ask(shared).get(), number);
  EXPECT_GE(steady_clock::now() - began, milliseconds(200));
}

TEST_F(SharedAnswerTest, NotMoreWaitThanMayHaveACopyAtOnce) {
  std::future<void> begun = begun_.get_future();
  SharedAnswer shared([this] { return make(); }, milliseconds(0));
  std::future<std::string> first = ask(shared);
  begun.wait();
  std::vector<std::future<std::string>> waiting;
  for (int i = 0; i < 1000; ++i) waiting.push_back(ask(shared));
  EXPECT_THAT(ask(shared).get(), testing::HasSubstr("too many wait"));
  gate_.release(2);
  for (auto& one : waiting) EXPECT_EQ(one.get(), "2");
}

TEST_F(SharedAnswerTest, ItsEndWaitsForNoPauseAndLeavesNobodyWaiting) {
  std::future<std::string> late;
  {
    gate_.release(1);
    SharedAnswer shared([this] { return make(); }, std::chrono::hours(1));
    EXPECT_EQ(ask(shared).get(), "1");
    late = ask(shared);
  }
  EXPECT_THROW(late.get(), std::future_error);  // its Respond is gone, which ends its connection
}

}  // namespace
}  // namespace ca4::http
