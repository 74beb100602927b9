// A shared library that is opened while the program runs.
#pragma once

#include <dlfcn.h>

#include <string>

namespace ca4::producer {

// Open while this lives. Not copied.
class SharedLibrary {
 public:
  explicit SharedLibrary(const std::string& name)
      : handle_(name.empty() ? nullptr : dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) {}
  ~SharedLibrary() {
    if (handle_ != nullptr) dlclose(handle_);
  }
  SharedLibrary(const SharedLibrary&) = delete;
  SharedLibrary& operator=(const SharedLibrary&) = delete;

  bool is_open() const { return handle_ != nullptr; }
  // Null when the library is not open or lacks it.
  template <class Function>
  Function* get(const char* name) const {
    return handle_ == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(handle_, name));
  }

 private:
  void* handle_;
};

// Calls a function of NVIDIA's libraries: true when it is there and says success.
template <class Function, class... Args>
bool call(Function* function, Args... args) {
  return function != nullptr && function(args...) == 0;
}

}  // namespace ca4::producer
