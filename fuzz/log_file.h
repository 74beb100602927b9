// A whole log file, and what an input makes of it: damage at places of its choice. Bytes that have
// nothing of a log in them end at SQLite's first look; damage to a whole one goes deeper.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "base/test_dir.h"
#include "log/embedded_log.h"
#include "support.h"

namespace ca4::fuzz {

// Small enough for some thousand runs a second, with pages of every kind: the tree's inner ones,
// overflow and free ones.
inline constexpr int kRecords = 40;

class LogSeed {
 public:
  LogSeed() : clock_(1'800'000'000'000'000) {
    auto log =
        log::EmbeddedLog::open({.file = dir_ / "seed.db", .groups = {"reader"}}, clock_).value();
    for (int i = 0; i < kRecords; ++i) {
      event::Event event;
      event.metadata_id = fmt::format("id-{}", i);
      event.meta_json = fmt::format(R"({{"metadata_id":"id-{}","n":{}}})", i, i);
      event.embedding.assign(i % 8 == 0 ? 3000 : 20, 0.5F);
      event.version = static_cast<uint64_t>(i) + 1;
      values_.insert(event::encode(event));
      log::NewRecord record{event.metadata_id, event::encode(event), {{"name", "value"}}};
      require(log::append_and_wait(*log, {std::move(record)}).is_ok(), "the seed is written");
    }
    require(log->consumer("reader").value()->commit({{0, 5}}).is_ok(), "the seed's group");
    log->close();
    log.reset();
    std::ifstream in(dir_ / "seed.db", std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
    require(bytes_.size() > 100'000, "the seed has records");
  }

  // Writes the damaged file to `path`. `input`: first a byte, odd if the file is cut, then pieces
  // of a place (3 bytes), a length (1 byte) and as many bytes to stand there.
  void write_damaged(std::string_view input, const std::string& path) const {
    std::string bytes = bytes_;
    const bool cut = !input.empty() && (input[0] & 1) != 0;
    if (!input.empty()) input.remove_prefix(1);
    if (cut) bytes.resize(take_place(input));
    while (input.size() > 4 && !bytes.empty()) {
      const size_t place = take_place(input) % bytes.size();
      const size_t length =
          std::min<size_t>(static_cast<unsigned char>(input[0]), input.size() - 1);
      input.remove_prefix(1);
      const size_t fits = std::min(length, bytes.size() - place);
      bytes.replace(place, fits, input.substr(0, fits));
      input.remove_prefix(length);
    }
    // Over what stands there: new pages for each input would take longer than to fill them.
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    require(file >= 0 && write(file, bytes.data(), bytes.size()) == std::ssize(bytes) &&
                ftruncate(file, std::ssize(bytes)) == 0,
            "the damaged file is written", path);
    close(file);
  }

  // Whether this very value was once appended.
  bool wrote(std::string_view value) const { return values_.contains(value); }

 private:
  size_t take_place(std::string_view& input) const {
    size_t place = 0;
    for (int i = 0; i < 3 && !input.empty(); ++i) {
      place = place << 8 | static_cast<unsigned char>(input[0]);
      input.remove_prefix(1);
    }
    return place % bytes_.size();
  }

  TempDir dir_;
  ManualClock clock_;
  std::set<std::string, std::less<>> values_;
  std::string bytes_;
};

}  // namespace ca4::fuzz
