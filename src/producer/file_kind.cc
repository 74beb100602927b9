#include "producer/file_kind.h"

#include <array>
#include <fstream>

namespace ca4::producer {

std::string_view kind_of_no_model(std::string_view begin) {
  if (begin.empty()) return "the file is empty";
  if (begin.starts_with("version https://git-lfs")) {
    return "it is a pointer of Git LFS, not the model: `git lfs pull` fetches that";
  }
  if (begin.starts_with("<")) return "it is a web page: download the file itself";
  // PyTorch saves an archive, before 1.6 a pickle.
  if (begin.starts_with("PK\x03\x04") || begin.starts_with("\x80\x02")) {
    return "it looks like a file of PyTorch: export it to ONNX (torch.onnx.export)";
  }
  if (begin.starts_with("\x89HDF"))
    return "it looks like a file of Keras: export it to ONNX (tf2onnx)";
  return "";
}

std::string_view kind_of_no_model_file(const std::string& path) {
  std::array<char, 32> begin{};
  std::ifstream file(path, std::ios::binary);
  file.read(begin.data(), begin.size());
  return kind_of_no_model({begin.data(), static_cast<size_t>(file.gcount())});
}

}  // namespace ca4::producer
