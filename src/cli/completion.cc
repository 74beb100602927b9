// `ca4 completion bash|zsh`: scripts made from the commands and options there are, so they are
// never behind.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>

#include "cli/common.h"
#include "cli/subcommand.h"

namespace ca4::cli {
namespace {

struct Word {
  std::string text;
  std::string help;
};

// A command and what may follow it; the program itself is the command "".
struct Place {
  std::string chain;  // "log tail"
  std::vector<Word> commands;
  std::vector<Word> options;
  // Options and arguments with a closed set of values; an argument's name is empty.
  std::vector<std::pair<std::string, std::vector<std::string>>> choices;
  std::vector<std::string> valued;  // options whose next word is a value
};

// The closed set of values in "text|json" or, as CLI11 writes it, "TEXT:{text,json}".
std::vector<std::string> choices_of(const CLI::Option* option) {
  std::string type = option->get_type_name();
  char separator = '|';
  if (const size_t open = type.find('{'); open != std::string::npos) {
    type = type.substr(open + 1, type.rfind('}') - open - 1);
    separator = ',';
  }
  if (type.find(separator) == std::string::npos) return {};
  return CLI::detail::split(type, separator);
}

std::vector<std::string> names_of(const CLI::Option* option) {
  std::vector<std::string> names;
  for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  return names;
}

Place describe(const CLI::App* app, const std::string& chain) {
  Place place{chain, {}, {}, {}, {}};
  for (const CLI::App* command : app->get_subcommands({})) {
    place.commands.push_back({command->get_name(), command->get_description()});
  }
  for (const CLI::Option* option : app->get_options()) {
    const std::vector<std::string> choices = choices_of(option);
    const std::vector<std::string> names = names_of(option);
    for (const std::string& name : names) {
      if (name.starts_with("--")) place.options.push_back({name, option->get_description()});
      if (option->get_items_expected_max() == 0) continue;
      place.valued.push_back(name);
      if (!choices.empty()) place.choices.emplace_back(name, choices);
    }
    if (names.empty() && !choices.empty()) place.choices.emplace_back("", choices);
  }
  return place;
}

void walk(const CLI::App* app, const std::string& chain, std::vector<Place>& places) {
  places.push_back(describe(app, chain));
  for (const CLI::App* command : app->get_subcommands({})) {
    walk(command, chain.empty() ? command->get_name() : chain + " " + command->get_name(), places);
  }
}

// In single quotes, as both shells read it.
std::string shell_quoted(const std::string& text) {
  return "'" + CLI::detail::find_and_replace(text, "'", "'\\''") + "'";
}

// "'log tail:--group'|'log tail:-n'": the options of a place whose next word is a value.
std::string valued_pattern(const Place& place) {
  std::vector<std::string> patterns;
  patterns.reserve(place.valued.size());
  for (const std::string& name : place.valued) {
    patterns.push_back(fmt::format("'{}:{}'", place.chain, name));
  }
  return fmt::format("{}", fmt::join(patterns, "|"));
}

// The `case` arms that follow the words typed so far down to the command they name, past the values
// of options: `--data-dir query` names no command.
std::string chain_arms(const std::vector<Place>& places) {
  std::string out;
  for (const Place& place : places) {
    for (const Word& command : place.commands) {
      const std::string next =
          place.chain.empty() ? command.text : place.chain + " " + command.text;
      out += fmt::format("      '{}:{}') chain='{}' ;;\n", place.chain, command.text, next);
    }
    if (!place.valued.empty()) {
      out += fmt::format("      {}) i=$((i + 1)) ;;\n", valued_pattern(place));
    }
  }
  return out;
}

// The arms that answer after an option which takes a value: its choices, or none (file names).
std::string value_arms(const std::vector<Place>& places, std::string_view choose,
                       std::string_view anything) {
  std::string out;
  for (const Place& place : places) {
    for (const auto& [name, choices] : place.choices) {
      if (name.empty()) continue;
      out += fmt::format("    '{}:{}') {} ;;\n", place.chain, name,
                         fmt::format(fmt::runtime(choose), fmt::join(choices, " ")));
    }
    if (!place.valued.empty()) {
      out += fmt::format("    {}) {} ;;\n", valued_pattern(place), anything);
    }
  }
  return out;
}

std::vector<std::string> texts(const std::vector<Word>& words) {
  std::vector<std::string> out;
  out.reserve(words.size());
  for (const Word& word : words) out.push_back(word.text);
  return out;
}

constexpr std::string_view kBashHead =
    R"(# bash completion for ca4. Load it with: source <(ca4 completion bash)
_ca4() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} chain='' words='' i
  COMPREPLY=()
  # readline gives "--option=value" as three words
  if [[ $cur == '=' ]]; then cur=''; elif [[ $prev == '=' ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$chain:${COMP_WORDS[i]}" in
)";

constexpr std::string_view kBashTail = R"(  esac
  # Nothing found: readline offers file names.
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _ca4 ca4
)";

std::string bash_script(const std::vector<Place>& places) {
  std::string out(kBashHead);
  out += chain_arms(places) + "    esac\n  done\n  case \"$chain:$prev\" in\n";
  out += value_arms(places, "COMPREPLY=($(compgen -W '{}' -- \"$cur\")); return", "return");
  out += "  esac\n  case \"$chain\" in\n";
  for (const Place& place : places) {
    std::vector<std::string> commands = texts(place.commands);
    const std::vector<std::string> options = texts(place.options);
    for (const auto& [name, choices] : place.choices) {
      if (name.empty()) commands.insert(commands.end(), choices.begin(), choices.end());
    }
    // Options only once a dash is typed: before it, commands and file names are what is wanted.
    out += fmt::format("    '{}') if [[ $cur == -* ]]; then words='{}'; else words='{}'; fi ;;\n",
                       place.chain, fmt::join(options, " "), fmt::join(commands, " "));
  }
  return out.append(kBashTail);
}

constexpr std::string_view kZshHead = R"(#compdef ca4
# zsh completion for ca4. Load it with: source <(ca4 completion zsh)
_ca4() {
  local chain='' i
  local -a commands options
  for ((i = 2; i < CURRENT; i++)); do
    case "$chain:${words[i]}" in
)";

constexpr std::string_view kZshTail = R"(  esac
  if [[ $words[CURRENT] == -* ]]; then
    _describe -o 'option' options
  elif (( $#commands )); then
    _describe 'command' commands
  else
    _files
  fi
}
compdef _ca4 ca4
)";

// What _describe takes: 'word:help', a colon of the word escaped.
std::string described(const std::vector<Word>& words) {
  std::string out;
  for (const Word& word : words) {
    const std::string name = CLI::detail::find_and_replace(word.text, ":", "\\:");
    out += " " + shell_quoted(name + ":" + word.help);
  }
  return out;
}

std::string zsh_script(const std::vector<Place>& places) {
  std::string out(kZshHead);
  out += chain_arms(places) + "    esac\n  done\n  case \"$chain:${words[CURRENT-1]}\" in\n";
  out += value_arms(places, "compadd -- {}; return", "_files; return");
  out += "  esac\n  case \"$chain\" in\n";
  for (const Place& place : places) {
    std::vector<Word> commands = place.commands;
    for (const auto& [name, choices] : place.choices) {
      if (!name.empty()) continue;
      for (const std::string& choice : choices) commands.push_back({choice, ""});
    }
    out += fmt::format("    '{}') commands=({}); options=({}) ;;\n", place.chain,
                       described(commands), described(place.options));
  }
  return out.append(kZshTail);
}

class Completion final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    app_ = &app;
    app.add_option("SHELL", shell_, "whose script to print")
        ->required()
        ->type_name("bash|zsh")
        ->check(one_of({"bash", "zsh"}));
    app.footer("Load it with: source <(ca4 completion bash)");
  }

  int run() override {
    const CLI::App* program = app_;
    while (program->get_parent() != nullptr) program = program->get_parent();
    std::vector<Place> places;
    walk(program, "", places);
    fmt::print("{}", shell_ == "bash" ? bash_script(places) : zsh_script(places));
    return 0;
  }

 private:
  const CLI::App* app_ = nullptr;
  std::string shell_;
};

}  // namespace

std::unique_ptr<Subcommand> make_completion() {
  return std::make_unique<Completion>();
}

}  // namespace ca4::cli
