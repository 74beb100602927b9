#include "producer/model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>

#include "producer/file_kind.h"
#include "producer/gpu.h"
#include "producer/model_files.h"
#include "producer/model_input.h"
#include "producer/onnx_lane.h"
#include "producer/onnx_library.h"

namespace ca4::producer {
namespace {

// An input or an output.
struct Port {
  std::string name;
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  std::vector<int64_t> shape;  // -1: free

  bool is_half() const { return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16; }
  bool is_float() const { return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT || is_half(); }
  std::string describe() const { return fmt::format("{} ({})", name, fmt::join(shape, ", ")); }
};

Port describe(Ort::AllocatedStringPtr name, const Ort::TypeInfo& type) {
  Port port;
  port.name = name.get();
  if (type.GetONNXType() == ONNX_TYPE_TENSOR) {
    const auto info = type.GetTensorTypeAndShapeInfo();
    port.type = info.GetElementType();
    port.shape = info.GetShape();
  }
  return port;
}

Status wrong(const std::string& path, const std::string& reason) {
  return {Code::kInvalidArgument, fmt::format("{}: {}", path, reason)};
}

bool is_usable(const Port& output) {
  return output.is_float() && (output.shape.size() == 2 || output.shape.size() == 4);
}

// See ModelOptions::output; an index into `outputs`.
Result<size_t> choose_output(const std::vector<Port>& outputs, const ModelOptions& options) {
  std::string all;
  for (const Port& output : outputs) all += "\n  " + output.describe();
  const auto find = [&](auto matches) -> std::optional<size_t> {
    const auto at = std::ranges::find_if(outputs, matches);
    if (at == outputs.end()) return std::nullopt;
    return static_cast<size_t>(at - outputs.begin());
  };
  if (!options.output.empty()) {
    const auto chosen = find([&](const Port& output) { return output.name == options.output; });
    if (!chosen) {
      return wrong(options.path,
                   fmt::format("no output is named {}; it has:{}", options.output, all));
    }
    if (is_usable(outputs[*chosen])) return *chosen;
    return wrong(options.path, fmt::format("output {} is no float tensor of shape (N, C) or "
                                           "(N, C, H, W)",
                                           outputs[*chosen].describe()));
  }
  for (const char* name :
       {"embedding", "embeddings", "features", "image_embeds", "pooler_output"}) {
    if (auto i = find([&](const Port& o) { return o.name == name && is_usable(o); })) return *i;
  }
  for (const size_t rank : {size_t{2}, size_t{4}}) {
    if (auto i = find([&](const Port& o) { return is_usable(o) && o.shape.size() == rank; })) {
      return *i;
    }
  }
  return wrong(options.path,
               "no output is a float tensor of shape (N, C) or (N, C, H, W); it has:" + all);
}

class OnnxModel final : public Embedder {
 public:
  explicit OnnxModel(const OnnxLibrary& library)
      : library_(library), env_(ORT_LOGGING_LEVEL_ERROR, "ca4"), session_(nullptr) {
    info_.runtime = "onnxruntime " + library.version;
  }

  // May throw Ort::Exception.
  Status load(const ModelOptions& options) {
    if (Status bad = open_session(options, /*is_half=*/false); !bad.is_ok()) return bad;
    if (Status bad = read_input(options.path); !bad.is_ok()) return bad;
    // What it computes with is known from the open session only.
    if (shape_.on_gpu && shape_.half_input) {
      if (Status bad = open_session(options, /*is_half=*/true); !bad.is_ok()) return bad;
    }
    if (Status bad = read_outputs(options); !bad.is_ok()) return bad;
    return warm_up(options.path);
  }

  const ModelInfo& info() const override { return info_; }
  ModelInfo& info() { return info_; }
  const std::string& advice() const { return advice_; }

  Result<std::vector<float>> run(std::span<const Tensor> images) override {
    const size_t count = images.size();
    const size_t step = info_.batch == 0 ? count : info_.batch;
    std::vector<float> out;
    out.reserve(count * info_.dim);
    try {
      std::unique_ptr<OnnxLane> lane = take_lane();
      for (size_t done = 0; done < count; done += step) {
        const auto part = images.subspan(done, std::min(step, count - done));
        if (Status bad = lane->run(part, step, out); !bad.is_ok()) {
          return Status(bad.code(), "the model failed: " + bad.message());
        }
      }
      give_back(std::move(lane));
    } catch (const Ort::Exception& e) {
      return Status(Code::kInternal, fmt::format("the model failed: {}", e.what()));
    }
    if (out.size() != count * info_.dim) {
      return Status(Code::kInternal, fmt::format("the model gave {} floats for {} images of {}",
                                                 out.size(), count, info_.dim));
    }
    return out;
  }

 private:
  Status open_session(const ModelOptions& options, bool is_half) {
    Ort::SessionOptions session_options;
    Result<ChosenDevice> device =
        choose_device(options.device, has_cuda_device(), is_half, library_.path, session_options);
    if (!device) return device.status();
    advice_ = device->advice;
    shape_.on_gpu = device->is_cuda;
    info_.device = device->is_cuda ? "cuda:0" : "cpu";
    share_cores(options);
    session_options.SetIntraOpNumThreads(info_.threads);
    session_options.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
    // Idle threads of the model must not take the cores from the decoders.
    session_options.AddConfigEntry("session.intra_op.allow_spinning", "0");
    session_ = Ort::Session(nullptr);  // of two at once a GPU may have no room for the second
    session_ = Ort::Session(env_, options.path.c_str(), session_options);
    return Status::ok();
  }

  // Two lanes with half the threads each do more than one with all of them: within a run, threads
  // wait for the slowest at each layer, most of all when decoders want the same cores. Two, not
  // one a core: a lane holds a batch's activations. On a GPU one lane copies while the other
  // computes.
  void share_cores(const ModelOptions& options) {
    const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    const int threads = options.threads == 0 ? cores : options.threads;
    const bool pays = shape_.on_gpu || threads >= 2;
    info_.lanes = options.for_throughput && pays ? 2 : 1;
    info_.threads = shape_.on_gpu ? 1 : std::max(1, threads / static_cast<int>(info_.lanes));
  }

  Status read_input(const std::string& path) {
    if (session_.GetInputCount() != 1) {
      return wrong(
          path, fmt::format("it has {} inputs; an image model has one", session_.GetInputCount()));
    }
    Ort::AllocatorWithDefaultOptions allocator;
    const Port input =
        describe(session_.GetInputNameAllocated(0, allocator), session_.GetInputTypeInfo(0));
    if (!input.is_float()) return wrong(path, "its input is neither float32 nor float16");
    const Ort::ModelMetadata metadata = session_.GetModelMetadata();
    const auto lookup = [&](const std::string& key) -> std::string {
      const auto value = metadata.LookupCustomMetadataMapAllocated(key.c_str(), allocator);
      return value == nullptr ? "" : value.get();
    };
    Result<ModelInput> how = model_input(input.shape, lookup);
    if (!how) return wrong(path, how.status().message());
    info_.preprocess = how->preprocess;
    info_.batch = how->batch;
    info_.name = lookup("ca4.name");
    if (info_.name.empty()) info_.name = std::filesystem::path(path).stem().string();
    const int64_t side = info_.preprocess.crop_side;
    shape_.input_name = input.name;
    info_.preprocess.half = shape_.half_input = input.is_half();
    shape_.input = info_.preprocess.channels_last ? std::vector<int64_t>{side, side, 3}
                                                  : std::vector<int64_t>{3, side, side};
    return Status::ok();
  }

  Status read_outputs(const ModelOptions& options) {
    Ort::AllocatorWithDefaultOptions allocator;
    std::vector<Port> outputs;
    for (size_t i = 0; i < session_.GetOutputCount(); ++i) {
      outputs.push_back(
          describe(session_.GetOutputNameAllocated(i, allocator), session_.GetOutputTypeInfo(i)));
    }
    Result<size_t> chosen = choose_output(outputs, options);
    if (!chosen) return chosen.status();
    info_.output = shape_.output_name = outputs[*chosen].name;
    shape_.half_output = outputs[*chosen].is_half();
    return Status::ok();
  }

  // Also finds the embedding's length, which the file need not say.
  Status warm_up(const std::string& path) {
    const std::vector<Tensor> blank(1, Tensor(info_.preprocess.tensor_bytes()));
    std::vector<float> out;
    std::unique_ptr<OnnxLane> lane = take_lane();
    const Status bad = lane->run(blank, std::max<size_t>(info_.batch, 1), out);
    if (!bad.is_ok()) return wrong(path, bad.message());
    give_back(std::move(lane));
    info_.dim = out.size();
    return Status::ok();
  }

  // There are as many lanes as there were runs at once. One that failed is not given back.
  std::unique_ptr<OnnxLane> take_lane() {
    const std::scoped_lock lock(mutex_);
    if (idle_.empty()) return std::make_unique<OnnxLane>(session_, shape_);
    std::unique_ptr<OnnxLane> lane = std::move(idle_.back());
    idle_.pop_back();
    return lane;
  }
  void give_back(std::unique_ptr<OnnxLane> lane) {
    const std::scoped_lock lock(mutex_);
    idle_.push_back(std::move(lane));
  }

  const OnnxLibrary library_;
  Ort::Env env_;
  Ort::Session session_;
  ModelInfo info_;
  LaneShape shape_;
  std::string advice_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<OnnxLane>> idle_;
};

}  // namespace

Result<std::unique_ptr<Embedder>> open_model(const ModelOptions& options) {
  Result<std::string> hash = model_sha256_hex(options.path);
  if (!hash) return Status(hash.status().code(), "model " + hash.status().message());
  Result<OnnxLibrary> library = open_onnx_library(options.ort_path);
  if (!library) return library.status();
  Ort::InitApi(library->api);
  try {
    auto model = std::make_unique<OnnxModel>(*library);
    if (Status bad = model->load(options); !bad.is_ok()) return bad;
    model->info().sha256 = std::move(*hash);
    if (options.advise && !model->advice().empty()) options.advise(model->advice());
    return std::unique_ptr<Embedder>(std::move(model));
  } catch (const std::exception& e) {
    const std::string_view kind = kind_of_no_model_file(options.path);
    return wrong(options.path, fmt::format("ONNX Runtime {} can't load this: {}", library->version,
                                           kind.empty() ? e.what() : kind));
  }
}

}  // namespace ca4::producer
