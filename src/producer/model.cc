#include "producer/model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <numeric>
#include <optional>
#include <thread>

#include "producer/hash.h"
#include "producer/model_input.h"
#include "producer/onnx_library.h"

// The library is opened while the program runs, see onnx_library.h.
#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

namespace ca4::producer {
namespace {

struct Tensor {
  std::string name;
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  std::vector<int64_t> shape;  // -1: free

  bool is_float() const { return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; }
  std::string describe() const { return fmt::format("{} ({})", name, fmt::join(shape, ", ")); }
};

Tensor describe(Ort::AllocatedStringPtr name, const Ort::TypeInfo& type) {
  Tensor tensor;
  tensor.name = name.get();
  if (type.GetONNXType() == ONNX_TYPE_TENSOR) {
    const auto info = type.GetTensorTypeAndShapeInfo();
    tensor.type = info.GetElementType();
    tensor.shape = info.GetShape();
  }
  return tensor;
}

Status wrong(const std::string& path, const std::string& reason) {
  return {Code::kInvalidArgument, fmt::format("{}: {}", path, reason)};
}

bool is_usable(const Tensor& output) {
  return output.is_float() && (output.shape.size() == 2 || output.shape.size() == 4);
}

// See ModelOptions::output; an index into `outputs`.
Result<size_t> choose_output(const std::vector<Tensor>& outputs, const ModelOptions& options) {
  std::string all;
  for (const Tensor& output : outputs) all += "\n  " + output.describe();
  const auto find = [&](auto matches) -> std::optional<size_t> {
    const auto at = std::ranges::find_if(outputs, matches);
    if (at == outputs.end()) return std::nullopt;
    return static_cast<size_t>(at - outputs.begin());
  };
  if (!options.output.empty()) {
    const auto chosen = find([&](const Tensor& output) { return output.name == options.output; });
    if (!chosen) {
      return wrong(options.path,
                   fmt::format("no output is named {}; it has:{}", options.output, all));
    }
    if (is_usable(outputs[*chosen])) return *chosen;
    return wrong(options.path, fmt::format("output {} is no float32 tensor of shape (N, C) or "
                                           "(N, C, H, W)",
                                           outputs[*chosen].describe()));
  }
  for (const char* name :
       {"embedding", "embeddings", "features", "image_embeds", "pooler_output"}) {
    if (auto i = find([&](const Tensor& o) { return o.name == name && is_usable(o); })) return *i;
  }
  for (const size_t rank : {size_t{2}, size_t{4}}) {
    if (auto i = find([&](const Tensor& o) { return is_usable(o) && o.shape.size() == rank; })) {
      return *i;
    }
  }
  return wrong(options.path,
               "no output is a float32 tensor of shape (N, C) or (N, C, H, W); it has:" + all);
}

class OnnxModel final : public Embedder {
 public:
  OnnxModel(const OnnxLibrary& library, int threads)
      : env_(ORT_LOGGING_LEVEL_ERROR, "ca4"), memory_(nullptr), session_(nullptr) {
    info_.runtime = "onnxruntime " + library.version;
    info_.threads = threads;
    memory_ = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  }

  // May throw Ort::Exception.
  Status load(const ModelOptions& options) {
    Ort::SessionOptions session_options;
    session_options.SetIntraOpNumThreads(info_.threads);
    session_options.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
    // Idle threads of the model must not take the cores from the decoders.
    session_options.AddConfigEntry("session.intra_op.allow_spinning", "0");
    session_ = Ort::Session(env_, options.path.c_str(), session_options);
    if (Status bad = read_input(options.path); !bad.is_ok()) return bad;
    Ort::AllocatorWithDefaultOptions allocator;
    std::vector<Tensor> outputs;
    for (size_t i = 0; i < session_.GetOutputCount(); ++i) {
      outputs.push_back(
          describe(session_.GetOutputNameAllocated(i, allocator), session_.GetOutputTypeInfo(i)));
    }
    Result<size_t> chosen = choose_output(outputs, options);
    if (!chosen) return chosen.status();
    info_.output = outputs[*chosen].name;
    return warm_up();
  }

  const ModelInfo& info() const override { return info_; }
  ModelInfo& info() { return info_; }

  Result<std::vector<float>> run(std::span<const float> tensors, size_t count) override {
    const size_t step = info_.batch == 0 ? count : info_.batch;
    const size_t floats = info_.preprocess.tensor_floats();
    std::vector<float> out;
    out.reserve(count * info_.dim);
    try {
      for (size_t done = 0; done < count; done += step) {
        const size_t now = std::min(step, count - done);
        run_once(tensors.subspan(done * floats, now * floats), now, out);
      }
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
  Status read_input(const std::string& path) {
    if (session_.GetInputCount() != 1) {
      return wrong(
          path, fmt::format("it has {} inputs; an image model has one", session_.GetInputCount()));
    }
    Ort::AllocatorWithDefaultOptions allocator;
    const Tensor input =
        describe(session_.GetInputNameAllocated(0, allocator), session_.GetInputTypeInfo(0));
    if (!input.is_float()) return wrong(path, "its input is not float32");
    input_name_ = input.name;
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
    return Status::ok();
  }

  // Also finds the embedding's length, which the file need not say.
  Status warm_up() {
    const std::vector<float> blank(info_.preprocess.tensor_floats());
    std::vector<float> out;
    run_once(blank, 1, out);
    info_.dim = out.size();
    return Status::ok();
  }

  // `count` is at most info_.batch when that is set; what a fixed batch has more of is zeros.
  void run_once(std::span<const float> tensors, size_t count, std::vector<float>& out) {
    const size_t rows = info_.batch == 0 ? count : info_.batch;
    std::span<const float> input = tensors;
    if (rows != count) {
      padded_.assign(rows * info_.preprocess.tensor_floats(), 0.0F);
      std::ranges::copy(tensors, padded_.begin());
      input = padded_;
    }
    const int64_t side = info_.preprocess.crop_side;
    const auto n = static_cast<int64_t>(rows);
    const std::array<int64_t, 4> shape = info_.preprocess.channels_last
                                             ? std::array<int64_t, 4>{n, side, side, 3}
                                             : std::array<int64_t, 4>{n, 3, side, side};
    // ONNX Runtime's signature is not const; an input is only read.
    const Ort::Value value = Ort::Value::CreateTensor<float>(
        memory_, const_cast<float*>(input.data()), input.size(), shape.data(), shape.size());
    const char* input_name = input_name_.c_str();
    const char* output_name = info_.output.c_str();
    const std::vector<Ort::Value> results =
        session_.Run(Ort::RunOptions{nullptr}, &input_name, &value, 1, &output_name, 1);
    const std::vector<int64_t> result_shape =
        results.front().GetTensorTypeAndShapeInfo().GetShape();
    append_pooled(results.front().GetTensorData<float>(), result_shape, count, out);
  }

  Ort::Env env_;
  Ort::MemoryInfo memory_;
  Ort::Session session_;
  ModelInfo info_;
  std::string input_name_;
  std::vector<float> padded_;
};

}  // namespace

Result<std::unique_ptr<Embedder>> open_model(const ModelOptions& options) {
  Result<std::string> hash = sha256_file_hex(options.path);
  if (!hash) return Status(hash.status().code(), "model " + hash.status().message());
  Result<OnnxLibrary> library = open_onnx_library(options.ort_path);
  if (!library) return library.status();
  Ort::InitApi(library->api);
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  try {
    auto model =
        std::make_unique<OnnxModel>(*library, options.threads == 0 ? cores : options.threads);
    if (Status bad = model->load(options); !bad.is_ok()) return bad;
    model->info().sha256 = std::move(*hash);
    return std::unique_ptr<Embedder>(std::move(model));
  } catch (const std::exception& e) {
    return wrong(options.path, e.what());
  }
}

}  // namespace ca4::producer
