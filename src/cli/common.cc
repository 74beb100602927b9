#include "cli/common.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>

#include "base/pem.h"
#include "base/printable.h"
#include "config/value.h"
#include "producer/hash.h"

namespace ca4::cli {
namespace {

// Longer than any token; a wrong path (a log, a key ring) is refused.
constexpr size_t kTokenFileBytesMax = 64 * 1024;

std::vector<std::string> variable_names() {
  std::vector<std::string> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    out.emplace_back(text.substr(0, text.find('=')));
  }
  return out;
}

// Refuses a bad value while the command line is parsed, so that it is a usage error (exit code 2).
CLI::Validator value_check(const config::Setting& setting) {
  return {[&setting](std::string& text) {
            config::Settings scratch;
            return config::set_text(setting, text, scratch).message();
          },
          ""};
}

std::string help_text(const config::Setting& setting) {
  const std::string initial = config::value_text(setting, config::Settings{});
  return initial.empty() ? std::string(setting.help)
                         : fmt::format("{} [{}]", setting.help, initial);
}

CLI::Option* declare(CLI::App& app, const config::Setting& setting, std::string& text) {
  const std::string flag(setting.flag);
  if (std::holds_alternative<config::Switch>(setting.type)) {
    return app.add_flag(fmt::format("{}{{true}},--no-{}{{false}}", flag, flag.substr(2)), text,
                        help_text(setting));
  }
  return app.add_option(flag, text, help_text(setting))
      ->type_name(config::placeholder(setting))
      ->check(value_check(setting));
}

}  // namespace

void SettingsFlags::add(CLI::App& app, const std::vector<config::Section>& sections,
                        const std::vector<std::string_view>& single) {
  app.add_option("-c,--config", file_, "TOML file of settings [CA4_CONFIG, or ca4.toml if there]")
      ->type_name("FILE");
  in_use_ = sections;
  for (const config::Setting& setting : config::table()) {
    const bool named = std::find(single.begin(), single.end(), setting.name()) != single.end();
    if (named) in_use_.push_back(setting.section);
    const bool wanted =
        named || std::find(sections.begin(), sections.end(), setting.section) != sections.end();
    if (wanted && !setting.flag.empty()) add_flag(app, setting);
  }
}

void SettingsFlags::add_flag(CLI::App& app, const config::Setting& setting) {
  Declared& declared = declared_.emplace_back(Declared{{&setting, ""}, nullptr});
  CLI::Option* option = declare(app, setting, declared.value.text);
  if (setting.section != config::Section::kGeneral) {
    option->group(std::string(config::section_title(setting.section)));
  }
  declared.option = option;
}

Result<config::Loaded> SettingsFlags::load_all() const {
  config::Sources sources;
  sources.env = environment;
  sources.variables = variable_names();
  sources.in_use = in_use_;
  sources.file = config::find_file(file_, sources.env);
  if (!sources.file.empty()) {
    Result<std::string> text = config::read_file(sources.file);
    if (!text) return text.status();
    sources.file_text = std::move(*text);
  }
  for (const Declared& declared : declared_) {
    if (declared.option->count() > 0) sources.flags.push_back(declared.value);
  }
  config::Loaded loaded = config::load(sources);
  for (const std::string& line : loaded.advice) std::fputs(("ca4: " + line + "\n").c_str(), stderr);
  return loaded;
}

Result<config::Settings> SettingsFlags::load() const {
  Result<config::Loaded> loaded = load_all();
  if (!loaded) return loaded.status();
  if (Status bad = loaded->status(); !bad.is_ok()) return bad;
  return std::move(loaded->settings);
}

int report(std::string_view who, const Status& status) {
  if (status.is_ok()) return exit_code(status.code());
  const std::string line = status.code() == Code::kConfig
                               ? status.message() + "\n"
                               : fmt::format("ca4 {}: {}\n", who, status.message());
  std::fputs(printable_lines(line).c_str(), stderr);
  return exit_code(status.code());
}

CLI::Validator one_of(const std::vector<std::string>& words) {
  return {[words](const std::string& text) -> std::string {
            if (std::find(words.begin(), words.end(), text) != words.end()) return {};
            return fmt::format("must be one of {}, not '{}'", fmt::join(words, ", "), text);
          },
          ""};
}

CLI::Validator whole_number(int64_t min, int64_t max) {
  return {[min, max](const std::string& text) -> std::string {
            int64_t value = 0;
            const char* const end = text.data() + text.size();
            const auto [stopped, error] = std::from_chars(text.data(), end, value);
            if (error == std::errc() && stopped == end && value >= min && value <= max) return {};
            return fmt::format("must be a whole number from {} to {}, not '{}'", min, max, text);
          },
          ""};
}

void add_format(CLI::App& app, std::string& format, const std::vector<std::string>& choices) {
  app.add_option("--format", format, fmt::format("how to print [{}]", format))
      ->type_name(fmt::format("{}", fmt::join(choices, "|")))
      ->check(one_of(choices));
}

CLI::App* add_command(CLI::App& app, const char* name, const char* summary) {
  CLI::App* command = app.add_subcommand(name, summary);
  command->fallthrough();
  return command;
}

Result<std::string> read_token(const std::string& path) {
  if (path.empty()) return std::string();
  Result<std::string> text = producer::read_file(path, kTokenFileBytesMax);
  if (!text) return Status(Code::kConfig, "token file " + text.status().message());
  const std::string line = text->substr(0, text->find('\n'));
  const size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string::npos) {
    return Status(Code::kConfig, fmt::format("token file {}: its first line is empty", path));
  }
  const std::string token = line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
  if (token.find(" sha256:") != std::string::npos) {
    return Status(Code::kConfig,
                  fmt::format("token file {}: its first line is the hash of a token, as servers "
                              "keep it; a client needs the token itself, which `ca4 token new` "
                              "printed",
                              path));
  }
  // Anything else could smuggle a header into the request.
  if (std::any_of(token.begin(), token.end(), [](char c) { return c <= ' ' || c > '~'; })) {
    return Status(Code::kConfig,
                  fmt::format("token file {}: its first line is no token (RFC 6750)", path));
  }
  return token;
}

Status check_ca_file(std::string_view setting, const std::string& path) {
  if (path.empty()) return Status::ok();
  const Status status = check_certificate_file(path);
  return status.is_ok() ? status
                        : Status(Code::kConfig, fmt::format("{}: {}", setting, status.message()));
}

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): see the contract
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace ca4::cli
