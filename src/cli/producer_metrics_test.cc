#include "cli/producer_metrics.h"

#include <gmock/gmock.h>

#include <deque>

namespace ca4::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Two GPUs, of which the second's driver says less.
constexpr const char* kTwoGpus = R"({"available":true,"devices":[
 {"index":0,"uuid":"GPU-1","name":"NVIDIA H200","metrics":{"DCGM_FI_DEV_GPU_UTIL":97,"DCGM_FI_DEV_FB_USED":2,
  "DCGM_FI_DEV_GPU_TEMP":61,"DCGM_FI_DEV_POWER_USAGE":412.5,"DCGM_FI_DEV_SM_CLOCK":1980,"DCGM_FI_DEV_MEM_CLOCK":3201}},
 {"index":1,"uuid":"GPU-2","name":null,"metrics":{"DCGM_FI_DEV_GPU_UTIL":null,"DCGM_FI_DEV_GPU_TEMP":40}}]})";

TEST(ProducerMetrics, AreOfTheRunAndOfEachGpu) {
  ops::Metrics metrics("1", "produce");
  producer::Progress progress;
  std::string hardware = kTwoGpus;
  add_producer_metrics(metrics, 12, progress, [&] { return hardware; });
  progress.sent = 5;
  progress.skipped = 1;
  progress.embedding = 3;
  progress.sending = 2;
  std::string text = metrics.text();
  for (const char* line :
       {"ca4_producer_given_images 12\n", "ca4_producer_images_total{result=\"sent\"} 5\n",
        "ca4_producer_images_total{result=\"skipped\"} 1\n",
        "ca4_producer_images_total{result=\"already_sent\"} 0\n",
        "ca4_producer_pending_images{stage=\"embed\"} 3\n",
        "ca4_producer_pending_images{stage=\"send\"} 2\n",
        "ca4_gpu_utilization_ratio{gpu=\"0\",name=\"NVIDIA H200\",uuid=\"GPU-1\"} 0.97\n",
        "ca4_gpu_memory_used_bytes{gpu=\"0\",name=\"NVIDIA H200\",uuid=\"GPU-1\"} 2097152\n",
        "ca4_gpu_temperature_celsius{gpu=\"0\",name=\"NVIDIA H200\",uuid=\"GPU-1\"} 61\n",
        "ca4_gpu_power_watts{gpu=\"0\",name=\"NVIDIA H200\",uuid=\"GPU-1\"} 412.5\n",
        "ca4_gpu_sm_clock_hertz{gpu=\"0\",name=\"NVIDIA H200\",uuid=\"GPU-1\"} 1980000000\n",
        "ca4_gpu_temperature_celsius{gpu=\"1\",name=\"\",uuid=\"GPU-2\"} 40\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, Not(HasSubstr("ca4_gpu_utilization_ratio{gpu=\"1\"")));
  // The driver stops to say it.
  hardware =
      R"({"index":0,"uuid":"GPU-1","name":"NVIDIA H200","metrics":{"DCGM_FI_DEV_GPU_TEMP":62}})";
  text = metrics.text();
  EXPECT_THAT(text, AllOf(HasSubstr("ca4_gpu_utilization_ratio{gpu=\"0\",name=\"NVIDIA "
                                    "H200\",uuid=\"GPU-1\"} Nan\n"),
                          HasSubstr("uuid=\"GPU-1\"} 62\n")));
}

TEST(ProducerMetrics, WithoutAGpuThereAreNone) {
  ops::Metrics metrics("1", "produce");
  const producer::Progress progress;
  add_producer_metrics(metrics, 0, progress,
                       [] { return R"({"available":false,"device":"cpu","reason":"none"})"; });
  EXPECT_THAT(metrics.text(), Not(HasSubstr("ca4_gpu_")));
}

class Answers final : public producer::Transport {
 public:
  Result<producer::Reply> post(std::string_view, std::string_view, std::string_view) override {
    Result<producer::Reply> next = std::move(replies.front());
    replies.pop_front();
    return next;
  }
  Result<producer::Reply> get(std::string_view) override { return Status(Code::kUnavailable, ""); }
  std::deque<Result<producer::Reply>> replies;
};

TEST(CountedTransportTest, CountsAnswersAndRemembersTheLastFailure) {
  ops::Metrics metrics("1", "produce");
  Answers inner;
  CountedTransport counted(inner, metrics.registry());
  EXPECT_TRUE(counted.last().is_ok());
  inner.replies.emplace_back(Status(Code::kUnavailable, "nobody listens"));
  EXPECT_EQ(counted.post("/metadata", "", "").status().message(), "nobody listens");
  EXPECT_EQ(counted.last().message(), "nobody listens");
  inner.replies.emplace_back(producer::Reply{.status = 503, .body = "", .retry_after_ms = {}});
  EXPECT_EQ(counted.post("/metadata", "", "")->status, 503);
  EXPECT_THAT(counted.last().message(), HasSubstr("503"));
  inner.replies.emplace_back(producer::Reply{.status = 200, .body = "", .retry_after_ms = {}});
  EXPECT_TRUE(counted.post("/metadata", "", ""));
  EXPECT_TRUE(counted.last().is_ok());
  const std::string text = metrics.text();
  for (const char* line : {"ca4_producer_requests_total{code=\"none\"} 1\n",
                           "ca4_producer_requests_total{code=\"503\"} 1\n",
                           "ca4_producer_requests_total{code=\"200\"} 1\n",
                           "ca4_producer_request_seconds_count 3\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

}  // namespace
}  // namespace ca4::cli
