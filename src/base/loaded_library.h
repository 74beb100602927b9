// Which of the libraries that this process has loaded a function is of.
#pragma once

#include <dlfcn.h>

namespace ca4 {

// The library (or program) that has this function, or data; of no library, nothing. glibc's alone
// (2.35). Thread-safe.
class LoadedLibrary {
 public:
  explicit LoadedLibrary(const void* of) {
    // It only looks; its parameter is not const in glibc's header.
    _dl_find_object(const_cast<void*>(of), &found_);
  }
  bool has(const void* address) const {
    return address >= found_.dlfo_map_start && address < found_.dlfo_map_end;
  }

 private:
  dl_find_object found_{};
};

}  // namespace ca4
