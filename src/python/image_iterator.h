// Images out of a Python iterator.
#pragma once

#include <nanobind/nanobind.h>

#include <atomic>
#include <exception>

#include "producer/image_source.h"
#include "python/call.h"

namespace ca4::python {

// The iterator gives (name, load): `load` is None for a file, whose absolute path is the name, or a
// function that returns the picture as a C-contiguous uint8 array of shape (height, width, 3).
// The iterator itself is asked by the calling thread, `load` is called from any. Made and destroyed
// by a thread that holds the interpreter's lock.
class ImageIterator final : public producer::ImageSource {
 public:
  // `caller` must outlive this.
  ImageIterator(nanobind::object iterator, std::optional<size_t> count, Caller& caller)
      : iterator_(std::move(iterator)), count_(count), caller_(caller) {}

  Result<std::optional<producer::SourceImage>> next() override;
  std::optional<size_t> count() const override { return count_; }

  // Throws again what the iterator threw, if it did. Hold the lock.
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  // Throws what asks for the end (KeyboardInterrupt), too, for the caller to know.
  Result<std::optional<producer::SourceImage>> pull();

  nanobind::object iterator_;
  const std::optional<size_t> count_;
  Caller& caller_;
  std::exception_ptr failure_;
};

}  // namespace ca4::python
