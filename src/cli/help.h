// How --help looks.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class FormatterBase;
}

namespace ca4::cli {

// For the whole program an overview, for a subcommand its options in groups, wrapped to 100
// columns.
std::shared_ptr<CLI::FormatterBase> help_formatter();

// `text` broken at spaces into lines of at most `width` columns; a longer word has its own line.
std::vector<std::string> wrap(std::string_view text, size_t width);

}  // namespace ca4::cli
