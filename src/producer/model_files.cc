#include "producer/model_files.h"

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "producer/hash.h"

namespace ca4::producer {
namespace {

// The most that protobuf, and so ONNX Runtime, reads.
constexpr size_t kModelBytesMax = size_t{2} << 30;

// Messages of onnx.proto on the way from a model to the names of files.
enum class Kind { kModel, kGraph, kFunction, kNode, kAttribute, kSparse, kTensor, kPlace };
struct Way {
  Kind from;
  uint64_t field;
  Kind to;
};
constexpr Way kWays[] = {
    {Kind::kModel, 7, Kind::kGraph},       {Kind::kModel, 25, Kind::kFunction},
    {Kind::kGraph, 1, Kind::kNode},        {Kind::kGraph, 5, Kind::kTensor},
    {Kind::kGraph, 15, Kind::kSparse},     {Kind::kFunction, 7, Kind::kNode},
    {Kind::kNode, 5, Kind::kAttribute},    {Kind::kAttribute, 5, Kind::kTensor},
    {Kind::kAttribute, 6, Kind::kGraph},   {Kind::kAttribute, 10, Kind::kTensor},
    {Kind::kAttribute, 11, Kind::kGraph},  {Kind::kAttribute, 22, Kind::kSparse},
    {Kind::kAttribute, 23, Kind::kSparse}, {Kind::kSparse, 1, Kind::kTensor},
    {Kind::kSparse, 2, Kind::kTensor},     {Kind::kTensor, 13, Kind::kPlace}};

// The fields of a protobuf message that hold bytes, one after the other.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  // False at the end, and where the message is damaged.
  bool next() {
    uint64_t tag = 0;
    while (varint(tag)) {
      uint64_t count = 0;
      const uint64_t wire_type = tag & 7;
      if (wire_type == 0 && varint(count)) continue;
      if (wire_type == 1) count = 8;
      if (wire_type == 5) count = 4;
      if (wire_type == 2 && !varint(count)) return false;
      if (count == 0 && wire_type != 2) return false;
      if (count > rest_.size()) return false;
      number = tag >> 3;
      bytes = rest_.substr(0, count);
      rest_.remove_prefix(count);
      if (wire_type == 2) return true;
    }
    return false;
  }

  uint64_t number = 0;
  std::string_view bytes;

 private:
  bool varint(uint64_t& out) {
    out = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      out |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

  std::string_view rest_;
};

// Of a StringStringEntryProto: the file's name, or empty when it says something else of a tensor.
std::string place(std::string_view entry) {
  std::string_view key;
  std::string_view value;
  for (Fields fields(entry); fields.next();) {
    if (fields.number == 1) key = fields.bytes;
    if (fields.number == 2) value = fields.bytes;
  }
  return key == "location" ? std::string(value) : "";
}

}  // namespace

std::set<std::string> external_files(std::string_view model) {
  std::set<std::string> out;
  std::vector<std::pair<Kind, std::string_view>> open = {{Kind::kModel, model}};
  while (!open.empty()) {
    const auto [kind, message] = open.back();
    open.pop_back();
    if (kind == Kind::kPlace) {
      if (std::string name = place(message); !name.empty()) out.insert(std::move(name));
      continue;
    }
    for (Fields fields(message); fields.next();) {
      for (const Way& way : kWays) {
        if (way.from == kind && way.field == fields.number) open.emplace_back(way.to, fields.bytes);
      }
    }
  }
  return out;
}

Result<std::string> model_sha256_hex(const std::string& path) {
  const Result<std::string> bytes = read_file(path, kModelBytesMax);
  if (!bytes) return bytes.status();
  std::string hash = sha256_hex(*bytes);
  const std::set<std::string> others = external_files(*bytes);
  if (others.empty()) return hash;
  for (const std::string& name : others) {
    const std::string other = (std::filesystem::path(path).parent_path() / name).string();
    const Result<std::string> more = sha256_file_hex(other);
    if (!more) {
      return Status(more.status().code(), fmt::format("{} has weights in a file beside it: {}",
                                                      path, more.status().message()));
    }
    hash += *more;
  }
  return sha256_hex(hash);
}

}  // namespace ca4::producer
