// A run as text for people. Pure.
#pragma once

#include <string>

#include "producer/pipeline.h"

namespace ca4::producer {

struct ProgressView {
  size_t done = 0;
  size_t all = 0;
  size_t skipped = 0;
  double images_per_s = 0;  // since the run began
};

// One line without its end, at most `columns` wide, e.g.
// "[=======>            ]  120/320  38 %  31.2 images/s  0:06 left  2 skipped".
// A terminal too narrow for the bar gets the numbers alone.
std::string progress_line(const ProgressView& view, size_t columns);

// "1:02:03", "2:03" or "0:03" of whole seconds, rounded up.
std::string duration_text(double seconds);

// What a run came to, a few lines with their ends: counts, rate, the model's share of the time, and
// how to go on after a run that ended early. The skipped files are not listed.
std::string summary_text(const Report& report, const std::string& journal_path);

// The same for programs, one line of JSON with its end, the skipped files in it: {"images":…,
// "sent":…,"already_sent":…,"skipped":[{"path":…,"reason":…}],"wall_s":…,"model_busy_s":…,
// "journal":…,"failure":null or why the run ended early}.
std::string summary_json(const Report& report, const std::string& journal_path);

}  // namespace ca4::producer
