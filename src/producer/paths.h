// Which files a command line means.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace ca4::producer {

// Absolute paths, each once, in this order: the arguments', and within a folder or pattern by name.
// A file is taken as it is, whatever its ending; a folder gives the .jpg, .jpeg, .png and .webp in
// it and in folders below (links to folders are not followed); a path that does not exist but has
// *, ? or [ is a pattern as in a shell. kNotFound when an argument gives nothing at all, kIo when a
// folder can't be read, kInvalidArgument for a pipe or a device. `advice`, where given, is a line
// for people about pictures of other kinds in the folders, or empty.
Result<std::vector<std::string>> expand_paths(const std::vector<std::string>& arguments,
                                              std::string* advice = nullptr);

// Is there a pipe or a device, whose opening may wait for ever?
bool is_no_file(const std::string& path);

// "file:///a/b%20c.png" of an absolute path (RFC 8089, RFC 3986).
std::string file_uri(std::string_view absolute_path);

// "memory:NAME" of a picture that no file holds.
std::string memory_uri(std::string_view name);

}  // namespace ca4::producer
