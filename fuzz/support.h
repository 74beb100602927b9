// What the targets share: a property that must hold, and bytes as a file.
#pragma once

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "event/event.h"

namespace ca4::fuzz {

// Ends the program, which libFuzzer takes for a finding, with what was expected.
inline void require(bool holds, std::string_view what, std::string_view detail = {}) {
  if (holds) return;
  fmt::print(stderr, "does not hold: {}\n{}\n", what, detail);
  std::abort();
}

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// A file in memory, for readers that want a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : fd_(memfd_create("ca4-fuzz", 0)) {
    require(
        fd_ >= 0 && write(fd_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
        "a file in memory");
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { close(fd_); }
  std::string path() const { return fmt::format("/proc/self/fd/{}", fd_); }

 private:
  int fd_;
};

// `json` as the parser wants it: in front of bytes that may be read and mean nothing.
inline bool parse(event::Parser& parser, std::string_view json, event::Event& out,
                  event::Refusal& why) {
  std::string padded(json);
  padded.append(event::Parser::kPaddingBytes, '}');
  return parser.parse({padded.data(), json.size()}, out, why);
}

inline bool same(const event::EventView& a, const event::EventView& b) {
  return a.metadata_id == b.metadata_id && a.meta_json == b.meta_json &&
         a.embedding() == b.embedding() && a.ingested_at_us == b.ingested_at_us &&
         a.version == b.version;
}

// A double of Unix seconds has microseconds up to here (the year 2255).
inline constexpr int64_t kExactUsMax = int64_t{1} << 53;

}  // namespace ca4::fuzz
