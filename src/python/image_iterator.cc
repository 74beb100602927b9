#include "python/image_iterator.h"

#include <nanobind/ndarray.h>

#include <memory>

#include "python/text.h"

namespace nb = nanobind;

namespace ca4::python {
namespace {

using Pixels = nb::ndarray<const uint8_t, nb::shape<-1, -1, 3>, nb::c_contig, nb::device::cpu>;

// The last to let go need not hold the lock that Python's counting of references asks for.
std::shared_ptr<nb::object> share(nb::object object) {
  return {new nb::object(std::move(object)), [](nb::object* shared) {
            const nb::gil_scoped_acquire lock;
            delete shared;
          }};
}

// "TypeError: …": what() has the lines of the traceback before it. Hold the lock.
std::string said_by(const nb::python_error& error) {
  try {
    const nb::str type(error.type().attr("__name__"));
    return std::string(type.c_str()) + ": " + nb::str(error.value()).c_str();
  } catch (const std::exception&) {  // an error that can't say what it is
    return error.what();
  }
}

Result<producer::Image> load_picture(const nb::object& load) {
  const nb::gil_scoped_acquire lock;
  try {
    const auto pixels = nb::cast<Pixels>(load());
    producer::Image image;
    image.height = image.file_height = static_cast<int>(pixels.shape(0));
    image.width = image.file_width = static_cast<int>(pixels.shape(1));
    if (Status bad = producer::check_size(image.width, image.height, {}); !bad.is_ok()) return bad;
    image.rgb.assign(pixels.data(), pixels.data() + pixels.size());
    image.format = "memory";
    return image;
  } catch (const nb::python_error& error) {
    return Status(Code::kInvalidArgument, said_by(error));
  } catch (const std::exception& error) {
    return Status(Code::kInvalidArgument, error.what());
  }
}

}  // namespace

Result<std::optional<producer::SourceImage>> ImageIterator::next() {
  Result<std::optional<producer::SourceImage>> out = Status(Code::kCancelled, "stopped");
  caller_.ask([&] { out = pull(); });
  return out;
}

Result<std::optional<producer::SourceImage>> ImageIterator::pull() {
  try {
    nb::object item = nb::steal(PyIter_Next(iterator_.ptr()));
    if (!item.is_valid()) {
      if (PyErr_Occurred() != nullptr) nb::raise_python_error();
      return std::optional<producer::SourceImage>();
    }
    producer::SourceImage out;
    out.path = path_bytes(item[0]);
    nb::object load = item[1];
    if (!load.is_none()) {
      out.load = [shared = share(std::move(load))] { return load_picture(*shared); };
    }
    return std::optional<producer::SourceImage>(std::move(out));
  } catch (const nb::python_error& error) {
    failure_ = std::current_exception();
    if (!error.matches(PyExc_Exception)) throw;
    return Status(Code::kInternal, said_by(error));
  }
}

}  // namespace ca4::python
