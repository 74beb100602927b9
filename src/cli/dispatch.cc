#include "cli/dispatch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>
#include <vector>

#include "base/status.h"
#include "cli/help.h"
#include "config/suggest.h"

namespace ca4::cli {
namespace {

const int kUsageExit = exit_code(Code::kUsage);

// The subcommand furthest down that the command line named.
CLI::App* named_last(CLI::App* app) {
  const std::vector<CLI::App*> named = app->get_subcommands();
  return named.empty() ? app : named_last(named.back());
}

std::string full_name(const CLI::App* app) {
  const CLI::App* parent = app->get_parent();
  return parent == nullptr ? app->get_name() : full_name(parent) + " " + app->get_name();
}

std::string suggestion(std::string_view typed, const std::vector<std::string>& known) {
  const std::vector<std::string_view> words(known.begin(), known.end());
  const std::string_view word = config::nearest(typed, words);
  return word.empty() ? "" : fmt::format("; did you mean '{}'?", word);
}

// Also those of the command that it is within, as it takes these too.
std::vector<std::string> option_names(const CLI::App* app) {
  std::vector<std::string> names;
  const CLI::App* within = app;
  do {
    for (const CLI::Option* option : within->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
    within = within->get_parent();
  } while (within != nullptr && within->get_parent() != nullptr);  // the root's come before
  return names;
}

std::vector<std::string> command_names(const CLI::App* app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app->get_subcommands({})) names.push_back(command->get_name());
  return names;
}

// Options of other programs, the option here that a command must have for it, and what to say.
struct Habit {
  std::string_view typed;
  std::string_view here;
  std::string_view hint;
};
constexpr Habit kHabits[] = {
    {"--port", "--listen", "; did you mean '--listen HOST:PORT'?"},
    {"--host", "--listen", "; did you mean '--listen HOST:PORT'?"},
    {"--mongo-uri", "--mongo-ca-file",
     ": others can read a command line; set the variable MONGO_URI, or store.mongo_uri"},
};

std::string option_hint(const std::string& option, const std::vector<std::string>& known) {
  for (const Habit& habit : kHabits) {
    const bool has_it = std::find(known.begin(), known.end(), habit.here) != known.end();
    if (option == habit.typed && has_it) return std::string(habit.hint);
  }
  return suggestion(option, known);
}

std::string unknown_word(const CLI::App* app, const std::string& word) {
  if (word.starts_with("-")) {
    const std::string option = word.substr(0, word.find('='));
    return fmt::format("unknown option '{}'{}", option, option_hint(option, option_names(app)));
  }
  const std::vector<std::string> commands = command_names(app);
  const bool groups_commands = !commands.empty() && app->get_subcommands().empty();
  return groups_commands ? fmt::format("unknown command '{}'{}", word, suggestion(word, commands))
                         : fmt::format("unexpected argument '{}'", word);
}

// "--model needs FILE.onnx behind it" of CLI11's "--model: 1 required FILE.onnx missing".
std::string missing_value(std::string_view message) {
  constexpr std::string_view kMiddle = ": 1 required ";
  constexpr std::string_view kEnd = " missing";
  const size_t middle = message.find(kMiddle);
  if (middle == std::string_view::npos || !message.ends_with(kEnd)) return std::string(message);
  const std::string_view name = message.substr(0, middle);
  message.remove_suffix(kEnd.size());
  return fmt::format("{} needs {} behind it", name, message.substr(middle + kMiddle.size()));
}

int usage_error(const CLI::App* app, std::string_view message) {
  const std::string name = full_name(app);
  fmt::print(stderr, "{}: {}\nTry '{} --help'.\n", name, message, name);
  return kUsageExit;
}

int refuse(CLI::App& root, const CLI::ParseError& error) {
  const CLI::App* app = named_last(&root);
  const std::vector<std::string> rest = root.remaining(true);
  // A misspelt option explains a required one that is missing, so it comes first.
  const auto unknown = std::find_if(rest.begin(), rest.end(), [](const std::string& word) {
    return word.starts_with("-") && word != "--";
  });
  if (unknown != rest.end()) return usage_error(app, unknown_word(app, *unknown));
  const bool extra = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  if (extra && !rest.empty()) return usage_error(app, unknown_word(app, rest.front()));
  const std::vector<std::string> commands = command_names(app);
  if (!commands.empty() && dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    return usage_error(app, fmt::format("which of its commands? {}", fmt::join(commands, ", ")));
  }
  return usage_error(app, missing_value(error.what()));
}

// `ca4 help log tail` is `ca4 log tail --help`. CLI11 takes arguments last first.
std::vector<std::string> arguments(int argc, const char* const* argv) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  std::reverse(words.begin(), words.end());
  return words;
}

int run_named(std::span<const Entry> entries, int argc, const char* const* argv) {
  CLI::App root("", "ca4");
  root.formatter(help_formatter());
  root.set_help_flag("-h,--help", "show this");
  root.set_version_flag("-V,--version", "ca4 " CA4_VERSION);
  root.require_subcommand(0, 1);
  std::vector<std::unique_ptr<Subcommand>> commands;
  for (const Entry& entry : entries) {
    commands.push_back(entry.make());
    commands.back()->define(*root.add_subcommand(entry.name, entry.summary));
  }

  std::vector<std::string> words = arguments(argc, argv);
  if (words.empty()) {
    fmt::print(stderr, "{}", root.help());
    return kUsageExit;
  }
  try {
    root.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    const std::vector<std::string> rest = root.remaining(true);
    const CLI::App* app = named_last(&root);
    if (!rest.empty() && app == &root) return usage_error(app, unknown_word(app, rest.front()));
    fmt::print("{}", named_last(&root)->help());
    return 0;
  } catch (const CLI::CallForVersion& version) {
    fmt::print("{}\n", version.what());
    return 0;
  } catch (const CLI::ParseError& error) {
    return refuse(root, error);
  }

  for (size_t i = 0; i < entries.size(); ++i) {
    if (root.got_subcommand(entries[i].name)) return commands[i]->run();
  }
  return usage_error(&root, "no command given");
}

// Where nobody reads any more, as behind `| head`, all that was wanted was printed.
int output_failed(int exit_code, int error_number) {
  if (error_number == EPIPE) return exit_code;
  const std::string why =
      error_number == 0 ? "it can't be written" : std::generic_category().message(error_number);
  fmt::print(stderr, "ca4: standard output: {}\n", why);
  return exit_code == 0 ? 1 : exit_code;
}

// What was printed counts when it is out: a full disk must not look like success.
int finish_output(int exit_code) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
  return output_failed(exit_code, errno);
}

}  // namespace

int dispatch(std::span<const Entry> entries, int argc, const char* const* argv) {
  try {
    return finish_output(run_named(entries, argc, argv));
  } catch (const std::system_error& error) {
    // fmt's way to say that it can't print; whatever else the system refuses ends the command too.
    if (std::ferror(stdout) != 0) return output_failed(0, error.code().value());
    fmt::print(stderr, "ca4: {}\n", error.what());
    return 1;
  }
}

}  // namespace ca4::cli
