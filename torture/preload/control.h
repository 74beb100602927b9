// What the library shares with whoever orders it about: a file of this layout, mapped by both.
// torture/disk.py writes the same layout down.
#pragma once

#include <atomic>
#include <cstdint>

namespace ca4::disk {

// The calls that are looked at, as bits of Control::kinds.
enum class Kind : uint32_t { kOpen, kWrite, kSync, kTruncate, kName, kRead, kCount };

// What becomes of a call that is spoilt.
enum class Way : uint32_t {
  kFails,  // with Control::error, and does nothing
  kShort,  // a write takes half of its bytes, and says so
  kDies,   // the process is killed before the call, when all others that have begun are done
};

struct Control {
  std::atomic<uint64_t> clock;  // counts what begins and what ends, in all processes together
  std::atomic<uint64_t> calls[static_cast<uint32_t>(Kind::kCount)];
  std::atomic<uint64_t> hits;     // calls that were spoilt
  std::atomic<uint64_t> delayed;  // syncs that waited
  std::atomic<uint64_t> lied;     // syncs that were not done
  std::atomic<int64_t> skip;      // so many calls of `kinds` pass first
  std::atomic<int64_t> left;      // then so many are spoilt
  std::atomic<uint32_t> kinds;    // none: nothing is spoilt
  std::atomic<Way> way;
  std::atomic<int32_t> error;
  std::atomic<uint32_t> delay_us;  // how long each sync waits before it begins
  std::atomic<uint32_t> lies;      // 1: syncs say that they are done, and are not
};

// What is recorded of an operation that was done: this, then `path_bytes` of its path, then
// `data_bytes`: what was written, or the new path of a rename.
enum class Op : uint32_t { kOpen = 1, kWrite, kTruncate, kSync, kRename, kUnlink, kMakeFolder };

struct Entry {
  uint64_t begun;  // Control::clock before the operation, and after it
  uint64_t ended;
  uint64_t inode;
  int64_t at;  // of a write: its offset; of a truncation: the new size
  Op op;
  uint32_t path_bytes;
  uint64_t data_bytes;
};
static_assert(sizeof(Entry) == 48);

}  // namespace ca4::disk
