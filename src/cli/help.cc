#include "cli/help.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

namespace ca4::cli {
namespace {

constexpr size_t kNameColumns = 34;  // fits "--worker-batch-records-max N" and its indentation
constexpr size_t kTextColumns = 66;  // kNameColumns + this: 100, as the sources

constexpr std::string_view kOverview =
    "CA4 takes images to searchable documents: embed, accept durably, store, search.\n";

// What the Python package shows, whose one command is produce.
constexpr std::string_view kProducerExample = R"(
Example: some images to the processor that `ca4 up --tunnel ngrok` runs elsewhere
  ca4 produce photos/ --model model.onnx --endpoint https://name.ngrok-free.app --token-file token

`ca4 produce --help` shows its options; `ca4 --version`.
)";

constexpr std::string_view kExample = R"(
Example: a whole pipeline on this machine, some images, and what is most like one of them
  ca4 up &
  ca4 produce photos/ --model model.onnx
  ca4 query --similar photos/cat.jpg --model-file model.onnx -k 5

`ca4 COMMAND --help` shows a command's options; `ca4 config` shows every setting; `ca4 --version`.
)";

std::string two_columns(const std::string& name, std::string_view text) {
  const std::string left = "  " + name;
  std::string out = left;
  size_t column = left.size();
  for (const std::string& line : wrap(text, kTextColumns)) {
    // A name that reaches into the text's column pushes the text to the next line.
    if (column + 1 >= kNameColumns) {
      out += '\n';
      column = 0;
    }
    out += std::string(kNameColumns - column, ' ') + line;
    column = kNameColumns;
  }
  return out + '\n';
}

// "-c, --config" and "--archive, --no-archive" as people expect them, where CLI11 leaves out the
// space and shows what it stores ("--archive{true},--no-archive{false}").
std::string tidy_names(const std::string& names) {
  std::string out;
  bool stored = false;
  for (const char c : names) {
    if (c == '{') stored = true;
    if (!stored) out += c == ',' ? std::string(", ") : std::string(1, c);
    if (c == '}') stored = false;
  }
  return out;
}

class Help final : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string /*name*/,
                        CLI::AppFormatMode mode) const override {
    if (app->get_parent() != nullptr) {
      // CLI11 puts a blank line after a group and another before the next.
      std::string out = CLI::detail::find_and_replace(
          CLI::Formatter::make_help(app, full_name(app), mode), "\n\n\n", "\n\n");
      // A command within a command takes the options of both.
      if (app->get_parent()->get_parent() != nullptr) {
        out +=
            fmt::format("\nMore options, for settings: {} --help\n", full_name(app->get_parent()));
      }
      return out;
    }
    std::string out(kOverview);
    out += "\nUsage: ca4 COMMAND [OPTIONS]\n\nCommands:\n";
    for (const CLI::App* command : app->get_subcommands({})) {
      out += fmt::format("  {:12}{}\n", command->get_name(), command->get_description());
    }
    return out.append(has_command(app, "up") ? kExample : kProducerExample);
  }

  std::string make_usage(const CLI::App* app, std::string name) const override {
    return "\n" + CLI::Formatter::make_usage(app, std::move(name));
  }

  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    const std::string name = tidy_names(make_option_name(option, is_positional));
    return two_columns(name + make_option_opts(option), make_option_desc(option));
  }

  std::string make_subcommand(const CLI::App* command) const override {
    return two_columns(command->get_name(), command->get_description());
  }

  std::string make_group(std::string group, bool is_positional,
                         std::vector<const CLI::Option*> options) const override {
    std::string out = fmt::format("\n{}:\n", group);
    for (const CLI::Option* option : options) out += make_option(option, is_positional);
    return out;
  }

 private:
  static bool has_command(const CLI::App* app, std::string_view name) {
    const std::vector<const CLI::App*> commands = app->get_subcommands({});
    return std::any_of(commands.begin(), commands.end(),
                       [&](const CLI::App* command) { return command->get_name() == name; });
  }
  static std::string full_name(const CLI::App* app) {
    const CLI::App* parent = app->get_parent();
    return parent == nullptr ? app->get_name() : full_name(parent) + " " + app->get_name();
  }
};

}  // namespace

std::shared_ptr<CLI::FormatterBase> help_formatter() {
  return std::make_shared<Help>();
}

std::vector<std::string> wrap(std::string_view text, size_t width) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!lines.empty() && lines.back().size() + 1 + word.size() <= width) {
      lines.back().append(" ").append(word);
    } else {
      lines.emplace_back(word);
    }
  }
  return lines;
}

}  // namespace ca4::cli
