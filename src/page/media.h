// Images that documents point to, as far as they lie below one folder.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace ca4::page {

struct Media {
  std::string content_type;
  std::string bytes;
};

// What a browser may be asked to show beside a table; a photograph has a few MiB.
inline constexpr size_t kMediaBytesMax = 32U << 20;

// The image at `source_uri`: a "file://" URI (RFC 8089) or a path, absolute or below `root`.
// kNotFound, always with the same message, when it is anything but a regular .jpg, .jpeg, .png or
// .webp file of at most kMediaBytesMax whose canonical path is below the canonical `root`: who asks
// must not learn what else there is.
Result<Media> load_media(std::string_view source_uri, const std::string& root);

// Whether `load_media` would give an image now, without reading it.
bool has_media(std::string_view source_uri, const std::string& root);

}  // namespace ca4::page
