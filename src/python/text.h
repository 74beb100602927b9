// Text that crosses from Python and back. File names are bytes: Python shows those that are no
// UTF-8 as lone surrogates (PEP 383), which nanobind's strings refuse.
#pragma once

#include <nanobind/nanobind.h>

#include <string>

namespace ca4::python {

// The bytes of a file name as the system has them, or of any other name. Throws nb::python_error
// for what is no str. Hold the lock, here and below.
std::string path_bytes(nanobind::handle text);
nanobind::object path_text(const std::string& bytes);

}  // namespace ca4::python
