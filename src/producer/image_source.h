// Where a run's images come from: files, or pictures that somebody holds in memory.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "producer/image.h"

namespace ca4::producer {

struct SourceImage {
  std::string path;  // absolute; of a picture in memory: its name
  // Set: gives the pixels of a picture in memory; called at most once, from any thread. Not set:
  // read and decode the file `path`.
  std::function<Result<Image>()> load;
};

class ImageSource {
 public:
  virtual ~ImageSource() = default;
  // The next image, or nothing when there are no more. A failure ends the run. One caller at a
  // time, from any thread.
  virtual Result<std::optional<SourceImage>> next() = 0;
  // How many there are in all, where that is known before the end. Any thread.
  virtual std::optional<size_t> count() const = 0;
};

// Files in a given order. Paths are absolute.
class FileSource final : public ImageSource {
 public:
  explicit FileSource(std::vector<std::string> paths) : paths_(std::move(paths)) {}

  Result<std::optional<SourceImage>> next() override {
    if (next_ == paths_.size()) return std::optional<SourceImage>();
    return std::optional<SourceImage>({.path = paths_[next_++], .load = nullptr});
  }
  std::optional<size_t> count() const override { return paths_.size(); }

 private:
  const std::vector<std::string> paths_;
  size_t next_ = 0;
};

}  // namespace ca4::producer
