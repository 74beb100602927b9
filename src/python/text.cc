#include "python/text.h"

namespace nb = nanobind;

namespace ca4::python {

std::string path_bytes(nb::handle text) {
  const nb::object bytes = nb::steal(PyUnicode_EncodeFSDefault(text.ptr()));
  if (!bytes.is_valid()) nb::raise_python_error();
  char* begin = nullptr;
  Py_ssize_t count = 0;
  if (PyBytes_AsStringAndSize(bytes.ptr(), &begin, &count) != 0) nb::raise_python_error();
  return {begin, static_cast<size_t>(count)};
}

nb::object path_text(const std::string& bytes) {
  nb::object text = nb::steal(
      PyUnicode_DecodeFSDefaultAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size())));
  if (!text.is_valid()) nb::raise_python_error();
  return text;
}

}  // namespace ca4::python
