#include "producer/python_packages.h"

#include <dlfcn.h>
#include <gmock/gmock.h>

#include <filesystem>

#include "producer/test_support.h"

namespace ca4::producer {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

// A folder of Python packages, as pip makes it.
class PythonPackages : public testing::Test {
 protected:
  std::string add(const std::string& file) {
    const std::string path = packages_ / file;
    fs::create_directories(fs::path(path).parent_path());
    fs::copy_file(CA4_FAKE_NVIDIA, path, fs::copy_options::overwrite_existing);
    return path;
  }

  // Of this folder: the machine may have packages of its own.
  std::vector<std::string> found(const std::string& ort) const {
    std::vector<std::string> out = nvidia_packages(ort);
    std::erase_if(out,
                  [&](const std::string& path) { return !path.starts_with(packages_.string()); });
    return out;
  }

  const TempDir folder_;
  const fs::path packages_ = folder_ / "venv/lib/python3.12/site-packages";
  const std::string ort_ = packages_ / "onnxruntime/capi/libonnxruntime.so.1.31.1";
};

TEST_F(PythonPackages, NvidiasLibrariesOfCuda13AreFoundInTheOrderInWhichTheyNeedEachOther) {
  const std::string cudnn = add("nvidia/cudnn/lib/libcudnn.so.9");
  const std::string cublas = add("nvidia/cu13/lib/libcublas.so.13");
  const std::string lt = add("nvidia/cu13/lib/libcublasLt.so.13");
  const std::string runtime = add("nvidia/cu13/lib/libcudart.so.13");
  add("nvidia/cu13/lib/libcusolver.so.12");
  EXPECT_THAT(found(ort_), ElementsAre(runtime, lt, cublas, cudnn));
}

TEST_F(PythonPackages, ThoseOfCuda12HaveAFolderEach) {
  const std::string runtime = add("nvidia/cuda_runtime/lib/libcudart.so.12");
  const std::string newer = add("nvidia/cu13/lib/libcudart.so.13");
  const std::string fft = add("nvidia/cufft/lib/libcufft.so.11");
  EXPECT_THAT(found(ort_), ElementsAre(newer, runtime, fft));
}

TEST_F(PythonPackages, LibraryOutsideAnyPackageHasNone) {
  add("nvidia/cu13/lib/libcudart.so.13");
  EXPECT_THAT(found(folder_ / "libonnxruntime.so"), IsEmpty());
}

bool is_open(const std::string& path) {
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (handle != nullptr) dlclose(handle);
  return handle != nullptr;
}

TEST_F(PythonPackages, AreOpenedWhereOnnxRuntimeHasACudaProvider) {
  const std::string runtime = add("nvidia/cu13/lib/libcudart.so.13");
  add("onnxruntime/capi/libonnxruntime.so.1.31.1");
  preload_nvidia_packages(ort_);
  EXPECT_FALSE(is_open(runtime));
  add("onnxruntime/capi/libonnxruntime_providers_cuda.so");
  preload_nvidia_packages(ort_);
  EXPECT_TRUE(is_open(runtime));
}

}  // namespace
}  // namespace ca4::producer
