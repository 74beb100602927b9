// Where Python keeps what pip installs, and the shared libraries among it.
#pragma once

#include <string>
#include <vector>

namespace ca4::producer {

// What matches the shell's pattern, in alphabetical order.
std::vector<std::string> matching_files(const std::string& pattern);

// The site-packages of the active virtual environment, the user and the machine that there are.
std::vector<std::string> python_package_folders();

// Of the package folder that the file `ort` of ONNX Runtime is in (empty: of none), then of the
// others: NVIDIA's libraries that ONNX Runtime's CUDA provider wants, each version once, in the
// order in which they can be opened. Both layouts of NVIDIA's packages, of CUDA 12 and 13.
std::vector<std::string> nvidia_packages(const std::string& ort);

// Opens nvidia_packages(ort), where `ort` has a CUDA provider beside it. The dynamic linker looks
// into none of their folders, and takes a library that is open already by its name. They stay open.
void preload_nvidia_packages(const std::string& ort);

}  // namespace ca4::producer
