// `ca4 produce`: images to embeddings to events.
#include <fmt/format.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "base/printable.h"
#include "cli/common.h"
#include "cli/produce.h"
#include "producer/gpu.h"
#include "producer/journal_place.h"
#include "producer/model.h"
#include "producer/paths.h"
#include "producer/pipeline.h"
#include "producer/progress.h"
#include "producer/run_monitor.h"
#include "producer/transport.h"

namespace ca4::cli {
namespace {

// Turns SIGINT and SIGTERM into a stop request as long as it lives. Made before any other thread,
// which inherit the blocked signals; so only this one takes them.
class StopOnSignal {
 public:
  StopOnSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
    thread_ = std::jthread([this](const std::stop_token& done) { wait(done); });
  }
  ~StopOnSignal() {
    thread_.request_stop();
    thread_.join();
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

  std::stop_token token() const { return stop_.get_token(); }

 private:
  void wait(const std::stop_token& done) {
    constexpr timespec kPoll{.tv_sec = 0, .tv_nsec = 50'000'000};
    while (!done.stop_requested()) {
      const int signal = sigtimedwait(&signals_, nullptr, &kPoll);
      if (signal < 0) continue;
      // The journal has every acknowledged line already: leaving at once loses nothing.
      if (!stop_.request_stop()) std::_Exit(128 + signal);
      std::fputs("\nstopping after what is in flight; once more to stop at once\n", stderr);
    }
  }

  sigset_t signals_{};
  sigset_t before_{};
  std::stop_source stop_;
  std::jthread thread_;
};

// A line on standard error that is drawn anew while this lives; nothing when that is no terminal.
class ProgressBar {
 public:
  ProgressBar(const producer::Progress& progress, size_t files) : progress_(progress), all_(files) {
    if (isatty(STDERR_FILENO) == 0) return;
    thread_ = std::jthread([this](const std::stop_token& done) {
      const auto start = std::chrono::steady_clock::now();
      while (!done.stop_requested()) {
        draw(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
      std::fputs("\r\x1b[K", stderr);
    });
  }

 private:
  void draw(double elapsed_s) const {
    producer::ProgressView view;
    view.done = std::min(progress_.settled(), all_);
    view.all = all_;
    view.skipped = progress_.skipped;
    // What was sent before costs next to nothing and would flatter the rate.
    view.images_per_s = static_cast<double>(progress_.sent + progress_.skipped) / elapsed_s;
    winsize size{};
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    const std::string line = producer::progress_line(view, known ? size.ws_col - 1U : 79U);
    std::fputs(("\r\x1b[K" + line).c_str(), stderr);
  }

  const producer::Progress& progress_;
  const size_t all_;
  std::jthread thread_;
};

// A line of its own, above the bar where one is drawn.
void say(const std::string& line) {
  const char* const clear = isatty(STDERR_FILENO) != 0 ? "\r\x1b[K" : "";
  std::fputs(fmt::format("{}ca4 produce: {}\n", clear, printable_lines(line)).c_str(), stderr);
}

// Pictures and tensors of some 100 KiB come and go a thousand times a second. By default each
// thread gives their pages back to the system and asks for them anew: a sixth of the time a picture
// takes.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that it takes
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
}

class Produce final : public Subcommand {
 public:
  explicit Produce(WatchRun watch) : watch_(watch) {}

  void define(CLI::App& app) override {
    if (watch_ == nullptr) {
      flags_.add(app, {config::Section::kProducer});
    } else {
      flags_.add(app, {config::Section::kProducer, config::Section::kAdmin}, {"data_dir"});
    }
    app.add_option("PATH", paths_, "images, folders (with those below), patterns")->required();
    app.add_option("--output", model_.output,
                   "the model's output that is the embedding [found by name and shape]")
        ->type_name("NAME");
    app.add_option(
           "--id-template", id_template_,
           fmt::format("ids from {{sha}} (content and model), {{stem}}, {{name}}, {{model}}, "
                       "{{unix}} [{}]",
                       id_template_))
        ->type_name("TEXT");
    app.add_option("--journal", journal_,
                   "where acknowledged images are noted, so that a run can go on [.ca4-journal, or "
                   "ca4/produce.journal of a Google Drive that Colab has mounted]")
        ->type_name("FILE");
    app.add_option("--tag", run_.tags, "a tag for extra.tags; may be given several times")
        ->type_name("TEXT")
        ->allow_extra_args(false);
    app.add_option("--notes", run_.notes, "text for extra.notes")->type_name("TEXT");
    app.add_flag("--one-by-one", one_by_one_,
                 "a request an image, with the embedding as numbers, for processors that know "
                 "neither batches nor base64");
    app.add_flag("--json", json_, "print what the run came to as one JSON object");
    app.add_option("--decode-threads", decode_threads_, "threads that decode images [one a core]")
        ->type_name("N")
        ->check(whole_number(1, 256));
    app.add_option("--model-threads", model_.threads, "threads that the model runs on [one a core]")
        ->type_name("N")
        ->check(whole_number(1, 256));
  }

  int run() override {
    // Before any thread starts.
    const StopOnSignal stop;
    keep_freed_memory();
    Result<config::Settings> settings = flags_.load();
    if (!settings) return report("produce", settings.status());
    Result<producer::PipelineOptions> options = pipeline_options(settings->producer);
    if (!options) return report("produce", options.status());
    std::string advice;
    Result<std::vector<std::string>> files = producer::expand_paths(paths_, &advice);
    if (!files) return report("produce", files.status());
    if (!advice.empty()) say(advice);
    Result<std::string> token = read_token(settings->producer.token_file);
    if (!token) return report("produce", token.status());
    const std::string& ca_file = settings->producer.ca_file;
    if (Status bad = check_ca_file("producer.ca_file", ca_file); !bad.is_ok()) {
      return report("produce", bad);
    }
    if (Status bad = prepare_model(settings->producer); !bad.is_ok()) return report("produce", bad);
    Result<std::unique_ptr<producer::Embedder>> model = producer::open_model(model_);
    if (!model) return report("produce", model.status());
    // After all that is likely to be wrong: it makes a file.
    if (journal_.empty()) journal_ = producer::default_journal();
    Result<std::unique_ptr<producer::Journal>> journal = producer::Journal::open(journal_);
    if (!journal) return report("produce", journal.status());
    producer::FileSource images(std::move(*files));
    const auto transport = producer::make_http_transport(
        {.endpoint = settings->producer.endpoint, .token = std::move(*token), .ca_file = ca_file});

    producer::Progress progress;
    producer::Report outcome;
    {
      const producer::GpuMonitor gpu;
      const producer::RunMonitor monitor(gpu, progress);
      options->gpu_hardware_json = [&monitor] { return monitor.hardware_json(); };
      std::unique_ptr<RunWatch> watch;
      if (watch_ != nullptr) {
        Result<std::unique_ptr<RunWatch>> started =
            watch_({*settings, *images.count(), progress, monitor, *transport});
        if (!started) return report("produce", started.status());
        watch = std::move(*started);
      }
      const ProgressBar bar(progress, *images.count());
      outcome =
          producer::run_pipeline(*options, images, **model, watch ? watch->transport() : *transport,
                                 **journal, SystemClock(), progress, stop.token());
    }
    return conclude(outcome);
  }

 private:
  Result<producer::PipelineOptions> pipeline_options(const config::Producer& settings) {
    if (settings.model.empty()) {
      return Status(Code::kUsage, "which model? --model FILE.onnx (or CA4_PRODUCER_MODEL)");
    }
    Result<producer::IdTemplate> id_template = producer::IdTemplate::parse(id_template_);
    if (!id_template) return id_template.status();
    producer::PipelineOptions options;
    options.id_template = std::move(*id_template);
    options.endpoint = settings.endpoint;
    options.run = run_;
    options.run.pipeline = settings.pipeline;
    options.run.numbers_as_text = one_by_one_;
    options.sender.one_by_one = one_by_one_;
    options.sender.in_flight_max = static_cast<size_t>(settings.in_flight_max);
    options.sender.retry.budget_ms = settings.retry_for_s * 1000;
    options.sender.notify = say;
    options.batch_images = static_cast<size_t>(settings.batch);
    options.decode_threads =
        decode_threads_ > 0 ? decode_threads_ : std::max(1U, std::thread::hardware_concurrency());
    return options;
  }

  Status prepare_model(const config::Producer& settings) {
    Result<producer::Device> device = producer::parse_device(settings.device);
    if (!device) return device.status();
    model_.path = settings.model;
    model_.ort_path = settings.ort;
    model_.device = *device;
    model_.for_throughput = true;
    model_.advise = say;
    return Status::ok();
  }

  // 0: every image is sent. 1: some were skipped, or the run ended early.
  int conclude(const producer::Report& outcome) const {
    for (const producer::Skipped& skipped : outcome.skipped) {
      fmt::print(stderr, "ca4 produce: skipped {}: {}\n", printable(skipped.path),
                 printable(skipped.reason));
    }
    fmt::print("{}", json_ ? producer::summary_json(outcome, journal_)
                           : producer::summary_text(outcome, journal_));
    std::fflush(stdout);
    if (const int code = report("produce", outcome.status); code != 0) return code;
    return outcome.skipped.empty() ? 0 : exit_code(Code::kInvalidArgument);
  }

  const WatchRun watch_;  // null: nobody
  SettingsFlags flags_;
  std::vector<std::string> paths_;
  std::string id_template_{producer::kDefaultIdTemplate};
  std::string journal_;
  producer::ModelOptions model_;
  producer::RunFacts run_;
  bool one_by_one_ = false;
  bool json_ = false;
  size_t decode_threads_ = 0;
};

}  // namespace

std::unique_ptr<Subcommand> make_produce() {
  return std::make_unique<Produce>(nullptr);
}

std::unique_ptr<Subcommand> make_produce_with(WatchRun watch) {
  return std::make_unique<Produce>(watch);
}

}  // namespace ca4::cli
