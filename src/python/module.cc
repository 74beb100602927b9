// The module ca4._native: the producer's core for the Python package, which gives it its face.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "base/pem.h"
#include "base/printable.h"
#include "cli/dispatch.h"
#include "producer/embed_all.h"
#include "producer/gpu.h"
#include "producer/journal.h"
#include "producer/journal_place.h"
#include "producer/model.h"
#include "producer/paths.h"
#include "producer/progress.h"
#include "producer/run_monitor.h"
#include "producer/transport.h"
#include "python/call.h"
#include "python/image_iterator.h"
#include "python/text.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ca4::python {
namespace {

// nanobind turns these into FileNotFoundError, ValueError and RuntimeError.
[[noreturn]] void raise(const Status& status) {
  const std::string message = printable_lines(status.message());
  if (status.code() == Code::kNotFound) {
    PyErr_SetString(PyExc_FileNotFoundError, message.c_str());
    throw nb::python_error();
  }
  if (status.code() == Code::kInvalidArgument || status.code() == Code::kUsage) {
    throw nb::value_error(message.c_str());
  }
  throw std::runtime_error(message);
}

template <class T>
T value_or_raise(Result<T> result) {
  if (!result) raise(result.status());
  return std::move(*result);
}

size_t decode_threads() {
  return std::max(1U, std::thread::hardware_concurrency());
}

// An open model, shared by whoever uses it.
class Model {
 public:
  Model(const std::string& path, const std::string& ort, const std::string& output, int threads,
        const std::string& device) {
    producer::ModelOptions options;
    options.path = path;
    options.ort_path = ort;
    options.output = output;
    options.threads = threads;
    options.device = value_or_raise(producer::parse_device(device));
    options.for_throughput = true;
    options.advise = [this](const std::string& advice) { advice_ = advice; };
    embedder_ = value_or_raise(open_unlocked(options));
  }

  producer::Embedder& embedder() { return *embedder_; }
  const producer::ModelInfo& info() const { return embedder_->info(); }
  const std::string& advice() const { return advice_; }

 private:
  static Result<std::unique_ptr<producer::Embedder>> open_unlocked(
      const producer::ModelOptions& options) {
    const nb::gil_scoped_release unlocked;
    return producer::open_model(options);
  }

  std::unique_ptr<producer::Embedder> embedder_;
  std::string advice_;
};

using Rows = nb::ndarray<nb::numpy, float, nb::ndim<2>>;

Rows to_array(std::vector<float> floats, size_t rows, size_t columns) {
  auto* const kept = new std::vector<float>(std::move(floats));
  const nb::capsule owner(kept,
                          [](void* p) noexcept { delete static_cast<std::vector<float>*>(p); });
  return Rows(kept->data(), {rows, columns}, owner);
}

std::vector<std::string> paths_of(const nb::list& paths) {
  std::vector<std::string> out;
  for (const nb::handle path : paths) out.push_back(path_bytes(path));
  return out;
}

// Of a list, which holds nothing but files: Python need not be asked for each. Null for what else
// gives images.
std::unique_ptr<producer::ImageSource> file_source(const nb::object& images) {
  if (!nb::isinstance<nb::list>(images)) return nullptr;
  return std::make_unique<producer::FileSource>(paths_of(nb::borrow<nb::list>(images)));
}

using OnTick = std::function<void(size_t done)>;

// (embeddings, [(index, name, reason)])
nb::tuple embed(Model& model, nb::object images, std::optional<size_t> count, size_t batch,
                const OnTick& on_tick) {
  const std::unique_ptr<producer::ImageSource> files = file_source(images);
  Caller caller;
  ImageIterator iterator(std::move(images), count, caller);
  producer::ImageSource& source = files ? *files : iterator;
  Ends ends;
  std::atomic<size_t> done = 0;
  producer::EmbedOptions options;
  options.batch_images = batch;
  options.decode_threads = decode_threads();
  Result<producer::Embeddings> rows = Status(Code::kInternal, "");
  run_watched(
      [&] {
        rows = producer::embed_all(options, source, model.embedder(), &done, ends.stop.get_token());
      },
      [&] { on_tick(done); }, ends, caller);
  iterator.rethrow();
  if (!rows) raise(rows.status());
  nb::list bad;
  for (const producer::BadImage& one : rows->bad) {
    bad.append(nb::make_tuple(one.index, path_text(one.path), printable(one.reason)));
  }
  return nb::make_tuple(to_array(std::move(rows->rows), rows->images, model.info().dim), bad);
}

struct RunOptions {
  std::string endpoint;
  std::string token;
  std::string ca_file;
  std::string journal;
  std::string id_template{producer::kDefaultIdTemplate};
  std::string pipeline = "unknown";
  std::vector<std::string> tags;
  std::string notes;
  bool one_by_one = false;
  size_t batch = 8;
  size_t in_flight_max = 4;
  double retry_for_s = 1800;
  std::string known_json = "{}";
};

producer::PipelineOptions pipeline_options(const RunOptions& from) {
  producer::PipelineOptions out;
  out.id_template = value_or_raise(producer::IdTemplate::parse(from.id_template));
  out.endpoint = from.endpoint;
  out.run = {from.pipeline, from.tags, from.notes, from.one_by_one};
  out.sender.one_by_one = from.one_by_one;
  out.sender.in_flight_max = from.in_flight_max;
  out.sender.retry.budget_ms = static_cast<int64_t>(from.retry_for_s * 1000);
  out.batch_images = from.batch;
  out.decode_threads = decode_threads();
  return out;
}

nb::list timeline_list(const std::vector<producer::Moment>& moments) {
  nb::list out;
  for (const producer::Moment& moment : moments) {
    nb::dict row;
    row["t_s"] = moment.t_s;
    row["images"] = moment.images;
    row["gpu_utilization_percent"] = nb::cast(moment.gpu.utilization_percent);
    row["gpu_memory_used_mb"] = nb::cast(moment.gpu.memory_used_mb);
    row["gpu_power_w"] = nb::cast(moment.gpu.power_w);
    row["gpu_temperature_c"] = nb::cast(moment.gpu.temperature_c);
    out.append(row);
  }
  return out;
}

nb::dict report_dict(const producer::Report& report, const std::vector<producer::Moment>& moments,
                     const std::string& hardware_json) {
  nb::list skipped;
  for (const producer::Skipped& one : report.skipped) {
    skipped.append(nb::make_tuple(path_text(one.path), printable(one.reason)));
  }
  nb::dict out;
  out["images"] = report.files;
  out["sent"] = report.sent;
  out["already_sent"] = report.already_sent;
  out["skipped"] = skipped;
  out["wall_s"] = report.wall_s;
  out["model_busy_s"] = report.model_busy_s;
  out["timeline"] = timeline_list(moments);
  out["gpu_hardware_json"] = hardware_json;
  out["failure"] =
      report.status.is_ok() ? nb::none() : nb::cast(printable_lines(report.status.message()));
  return out;
}

using OnProgress = std::function<void(size_t sent, size_t already_sent, size_t skipped)>;
using OnNotice = std::function<void(const std::string& line)>;

// Lines from threads that must not wait for the interpreter's lock, for the one that has it.
class Notices {
 public:
  void add(const std::string& line) {
    const std::scoped_lock lock(mutex_);
    lines_.push_back(printable_lines(line));
  }
  std::vector<std::string> take() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(lines_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> lines_;  // one a minute at most, taken ten times a second
};

nb::dict run(Model& model, nb::object images, std::optional<size_t> count,
             const RunOptions& options, const OnProgress& on_progress, const OnNotice& on_notice) {
  producer::PipelineOptions pipeline = pipeline_options(options);
  Notices notices;
  pipeline.sender.notify = [&notices](const std::string& line) { notices.add(line); };
  const auto journal = value_or_raise(producer::Journal::open(options.journal));
  const std::unique_ptr<producer::ImageSource> files = file_source(images);
  Caller caller;
  ImageIterator iterator(std::move(images), count, caller);
  producer::ImageSource& source = files ? *files : iterator;
  Ends ends;
  const auto transport = producer::make_http_transport({.endpoint = options.endpoint,
                                                        .token = options.token,
                                                        .ca_file = options.ca_file,
                                                        .abandon = ends.abandon.get_token()});
  producer::GpuProbe probe;
  probe.known_json = options.known_json;
  const producer::GpuMonitor gpu(probe);
  producer::Progress progress;
  const producer::RunMonitor monitor(gpu, progress);
  pipeline.gpu_hardware_json = [&monitor] { return monitor.hardware_json(); };
  producer::Report report;
  const SystemClock clock;
  const auto work = [&] {
    report = producer::run_pipeline(pipeline, source, model.embedder(), *transport, *journal, clock,
                                    progress, ends.stop.get_token(), ends.abandon.get_token());
  };
  const auto tick = [&] {
    for (const std::string& line : notices.take()) on_notice(line);
    on_progress(progress.sent, progress.already_sent, progress.skipped);
  };
  try {
    run_watched(work, tick, ends, caller);
  } catch (...) {
    // Who ends a run sees how far it came; there is no Summary then.
    on_notice(printable_lines(producer::summary_text(report, options.journal)));
    throw;
  }
  iterator.rethrow();
  return report_dict(report, monitor.timeline(), monitor.hardware_json());
}

int run_command(const nb::list& arguments) {
  std::vector<std::string> words;
  for (const nb::handle argument : arguments) words.push_back(path_bytes(argument));
  constexpr cli::Entry kCommands[] = {
      {"produce", "turn images into embeddings and send them", cli::make_produce}};
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  const nb::gil_scoped_release unlocked;
  return cli::dispatch(kCommands, static_cast<int>(argv.size()), argv.data());
}

void define_run_options(nb::module_& m) {
  nb::class_<RunOptions>(m, "RunOptions")
      .def(nb::init<>())
      .def_rw("endpoint", &RunOptions::endpoint)
      .def_rw("token", &RunOptions::token)
      .def_rw("ca_file", &RunOptions::ca_file)
      .def_rw("journal", &RunOptions::journal)
      .def_rw("id_template", &RunOptions::id_template)
      .def_rw("pipeline", &RunOptions::pipeline)
      .def_rw("tags", &RunOptions::tags)
      .def_rw("notes", &RunOptions::notes)
      .def_rw("one_by_one", &RunOptions::one_by_one)
      .def_rw("batch", &RunOptions::batch)
      .def_rw("in_flight_max", &RunOptions::in_flight_max)
      .def_rw("retry_for_s", &RunOptions::retry_for_s)
      .def_rw("known_json", &RunOptions::known_json);
}

void define_model(nb::module_& m) {
  nb::class_<Model>(m, "Model")
      .def(nb::init<const std::string&, const std::string&, const std::string&, int,
                    const std::string&>(),
           "path"_a, "ort"_a, "output"_a, "threads"_a, "device"_a)
      .def_prop_ro("name", [](const Model& model) { return model.info().name; })
      .def_prop_ro("sha256", [](const Model& model) { return model.info().sha256; })
      .def_prop_ro("output", [](const Model& model) { return model.info().output; })
      .def_prop_ro("dim", [](const Model& model) { return model.info().dim; })
      .def_prop_ro("device", [](const Model& model) { return model.info().device; })
      .def_prop_ro("runtime", [](const Model& model) { return model.info().runtime; })
      .def_prop_ro("advice", [](const Model& model) { return model.advice(); })
      .def("embed", &embed, "images"_a, "count"_a.none(), "batch"_a, "on_tick"_a)
      .def("run", &run, "images"_a, "count"_a.none(), "options"_a, "on_progress"_a, "on_notice"_a);
}

}  // namespace
}  // namespace ca4::python

NB_MODULE(_native, m) {
  m.attr("__version__") = CA4_VERSION;
  m.def("main", &ca4::python::run_command, "argv"_a);
  m.def(
      "gpu_hardware_json",
      [](const std::string& known_json) {
        ca4::producer::GpuProbe probe;
        probe.known_json = known_json;
        return ca4::producer::GpuMonitor(probe).hardware_json();
      },
      "known_json"_a, nb::call_guard<nb::gil_scoped_release>());
  m.def(
      "default_journal", [] { return ca4::producer::default_journal(); },
      nb::call_guard<nb::gil_scoped_release>());
  m.def(
      "check_ca_file",
      [](const std::string& path) {
        const ca4::Status status = ca4::check_certificate_file(path);
        if (!status.is_ok()) {
          ca4::python::raise({ca4::Code::kInvalidArgument, "ca_file " + status.message()});
        }
      },
      "path"_a);
  m.def(
      "expand_paths",
      [](const nb::list& paths) {
        const std::vector<std::string> arguments = ca4::python::paths_of(paths);
        nb::list files;
        std::string advice;
        for (const std::string& file :
             ca4::python::value_or_raise(ca4::producer::expand_paths(arguments, &advice))) {
          files.append(ca4::python::path_text(file));
        }
        return nb::make_tuple(files, advice);
      },
      "paths"_a);
  ca4::python::define_run_options(m);
  ca4::python::define_model(m);
}
