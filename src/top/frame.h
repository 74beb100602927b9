// One screen of `ca4 top`. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "top/figures.h"

namespace ca4::top {

// Lines with their ends, each at most `columns` wide: the processes and how they are, then a line
// for each part of the pipeline that somebody has. Rates and percentiles are over the processes'
// windows.
std::string frame(const std::vector<Process>& processes, size_t columns);

// "1.4 GiB", "12 KiB", "7 B".
std::string bytes_text(double bytes);
// "1.5 ms", "340 us", "2.1 s", "3:20 min", "5:03 h".
std::string seconds_text(double seconds);
// "0", "0.3", "12", "1,234", "1.2 M".
std::string count_text(double count);

}  // namespace ca4::top
