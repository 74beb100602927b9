#include "processor/version_mark.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>

#include "base/crc32c.h"
#include "base/folders.h"
#include "base/io_error.h"
#include "base/raise.h"

namespace ca4::processor {
namespace {

// Versions are microseconds. After a run that was killed a start waits until the clock is past
// this: so not more than it takes to write once a second.
constexpr uint64_t kAhead = 2'000'000;
constexpr auto kAgain = std::chrono::seconds(1);

// The file (docs/formats.md): two slots, written in turn, so that a torn write leaves the other.
constexpr off_t kSlotBytes = 512;
constexpr int kSlots = 2;
struct Slot {
  uint64_t mark = 0;
  uint32_t checksum = 0;
  uint32_t zero = 0;
};
static_assert(sizeof(Slot) == 16);

uint32_t checksum_of(uint64_t mark) {
  return crc32c({reinterpret_cast<const char*>(&mark), sizeof mark});
}

// What a slot says; none where it is damaged or was never written.
Result<std::optional<uint64_t>> read_slot(const std::string& path, int fd, int number) {
  Slot slot;
  const ssize_t got = ::pread(fd, &slot, sizeof slot, number * kSlotBytes);
  if (got < 0) return io_error(path, "read");
  const bool good = got == sizeof slot && slot.checksum == checksum_of(slot.mark);
  return good ? std::optional(slot.mark) : std::nullopt;
}

}  // namespace

Result<std::unique_ptr<VersionMark>> VersionMark::open(const std::string& file) {
  const std::string folder = std::filesystem::absolute(file).parent_path().string();
  const Status made = make_durable_folders(folder);
  if (!made.is_ok()) return made;
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return io_error(file, "open");
  std::array<std::optional<uint64_t>, kSlots> found;
  for (int number = 0; number < kSlots; ++number) {
    const Result<std::optional<uint64_t>> slot = read_slot(file, fd, number);
    if (!slot) {
      ::close(fd);
      return slot.status();
    }
    found[static_cast<size_t>(number)] = *slot;
  }
  const Status durable = sync_folder(folder);
  if (!durable.is_ok()) {
    ::close(fd);
    return durable;
  }
  if (!found[0] && !found[1] && ::lseek(fd, 0, SEEK_END) > 0) {
    spdlog::warn(
        "{} is damaged: should Kafka be away now and the clock be behind that of the last run, an "
        "update may be taken for the older one",
        file);
  }
  const uint64_t highest = std::max(found[0].value_or(0), found[1].value_or(0));
  const int next = found[0].value_or(0) <= found[1].value_or(0) ? 0 : 1;
  return std::unique_ptr<VersionMark>(new VersionMark(file, fd, highest, next));
}

VersionMark::VersionMark(std::string path, int fd, uint64_t highest, int slot)
    : path_(std::move(path)), fd_(fd), highest_(highest), slot_(slot) {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

VersionMark::~VersionMark() {
  thread_ = {};
  settle();
  ::close(fd_);
}

// The larger mark counts: both slots must say it. What a disk refuses leaves the mark ahead.
void VersionMark::settle() {
  const uint64_t last = last_;
  if (last == 0) return;
  for (int slots = 0; slots < kSlots; ++slots) {
    if (!write(last).is_ok()) return;
  }
}

void VersionMark::given(uint64_t version) {
  raise(last_, version);
  if (version < renew_at_.load(std::memory_order_relaxed)) return;
  {
    const std::lock_guard lock(mutex_);
    wanted_ = std::max(wanted_, version);
    renew_at_ = wanted_ + kAhead / 2;
  }
  changed_.notify_one();
}

void VersionMark::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return wanted_ > 0; })) {
    const uint64_t version = wanted_;
    wanted_ = 0;
    lock.unlock();
    const Status written = write(version + kAhead);
    lock.lock();
    if (written.is_ok()) continue;
    wanted_ = std::max(wanted_, version);
    if (const auto kept_back = warnings_.allow("", std::chrono::steady_clock::now())) {
      spdlog::warn(
          "{}: tried again. Should Kafka be away at the next start and the clock be set back by "
          "then, an update may be taken for the older one{}",
          written.message(), and_like_it(*kept_back));
    }
    if (stop.stop_requested()) return;
    changed_.wait_for(lock, stop, kAgain, [] { return false; });
  }
}

Status VersionMark::write(uint64_t mark) {
  const Slot slot{.mark = mark, .checksum = checksum_of(mark)};
  const ssize_t wrote = ::pwrite(fd_, &slot, sizeof slot, slot_ * kSlotBytes);
  if (wrote >= 0 && wrote != sizeof slot) errno = ENOSPC;
  if (wrote != sizeof slot) return io_error(path_, "write");
  if (::fdatasync(fd_) != 0) return io_error(path_, "sync");
  slot_ = (slot_ + 1) % kSlots;
  return Status::ok();
}

}  // namespace ca4::processor
