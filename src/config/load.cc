#include "config/load.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "config/suggest.h"
#include "config/toml_file.h"
#include "config/value.h"

namespace ca4::config {
namespace {

constexpr const char* kFileVariable = "CA4_CONFIG";
// Nobody's slip is longer, and comparing takes time by its square.
constexpr size_t kVariableBytesMax = 64;

// Where the value in force was set, to point there when it turns out not to fit the others.
struct Setter {
  enum class Kind { kDefault, kFile, kEnv, kFlag } kind = Kind::kDefault;
  Place key_place;
  Place value_place;
};

std::string did_you_mean(std::string_view word) {
  return word.empty() ? "" : fmt::format("did you mean '{}'?", word);
}

const Setting* find_setting(std::string_view section, std::string_view key) {
  for (const Setting& setting : table()) {
    if (setting.key == key && section_name(setting.section) == section) return &setting;
  }
  return nullptr;
}

bool is_section(std::string_view name) {
  return std::any_of(std::begin(kAllSections), std::end(kAllSections),
                     [&](Section section) { return section_name(section) == name; });
}

std::string key_hint(std::string_view section, std::string_view key) {
  std::vector<std::string_view> here;
  for (const Setting& setting : table()) {
    if (section_name(setting.section) == section) here.push_back(setting.key);
  }
  if (const std::string_view word = nearest(key, here); !word.empty()) return did_you_mean(word);
  for (const Setting& setting : table()) {
    if (setting.key != key) continue;
    if (setting.section == Section::kGeneral) return "it belongs above the first section";
    return fmt::format("did you mean '{}' in [{}]?", key, section_name(setting.section));
  }
  return {};
}

std::vector<std::string_view> our_variables() {
  std::vector<std::string_view> out{kFileVariable};
  for (const Setting& setting : table()) out.push_back(setting.env);
  return out;
}

// "CA4_LOG_LEVEL" of "log-level".
std::string variable_of(std::string_view words) {
  std::string out = "CA4_";
  for (const char c : words) {
    const bool is_letter = c >= 'a' && c <= 'z';
    out += is_letter ? static_cast<char>(c - 'a' + 'A') : (c == '-' ? '_' : c);
  }
  return out;
}

// The variable that `name`, which is none, is a fair guess of: by the pattern of most
// (CA4_KAFKA_BOOTSTRAP), with our prefix before it (CA4_MONGO_URI), or after a flag that only one
// setting has (CA4_LISTEN). Empty: of none.
std::string_view guessed_variable(const std::string& name) {
  // The deployment's, which name what goes into a Secret.
  if (name == "CA4_TLS_CERT_FILE" || name == "CA4_TLS_KEY_FILE") return {};
  std::string_view by_flag;
  size_t flags = 0;
  for (const Setting& setting : table()) {
    const std::string path = fmt::format("{}_{}", section_name(setting.section), setting.key);
    if (name == variable_of(path) || name == fmt::format("CA4_{}", setting.env)) return setting.env;
    if (setting.flag.empty() || name != variable_of(setting.flag.substr(2))) continue;
    by_flag = setting.env;
    ++flags;
  }
  return flags == 1 ? by_flag : std::string_view();
}

// One of our variables, not set itself, that `name` is a slip of the finger away from, or a fair
// guess of; or empty. Two edits: with three a script's CA4_STATE_DIR would be CA4_DATA_DIR.
std::string_view meant_variable(const std::string& name, const std::vector<std::string>& set) {
  constexpr size_t kEditsMax = 2;
  std::string_view best;
  size_t best_distance = kEditsMax + 1;
  for (const std::string_view known : our_variables()) {
    const size_t distance = edit_distance(name, known);
    if (distance == 0) return {};
    if (distance >= best_distance || std::ranges::find(set, known) != set.end()) continue;
    best = known;
    best_distance = distance;
  }
  if (!best.empty()) return best;
  const std::string_view guessed = guessed_variable(name);
  return std::ranges::find(set, guessed) == set.end() ? guessed : std::string_view();
}

// Prefixes as our variables have them. Kubernetes gives a pod a ..._PORT for each service.
bool is_ours_by_name(std::string_view name) {
  const bool prefixed =
      name.starts_with("CA4_") || name.starts_with("KAFKA_") || name.starts_with("MONGO_");
  return prefixed && name.size() <= kVariableBytesMax && !name.ends_with("_PORT");
}

class Loader {
 public:
  explicit Loader(const Sources& sources) : sources_(sources), setters_(table().size()) {}

  Loaded run() {
    if (!sources_.file.empty()) read_sections();
    read_environment();
    look_for_slips();
    read_flags();
    check_supported();
    check_tls_pair();
    check_kafka_security();
    check_ports();
    // A TOML table forgets the order of its keys; people read from the top.
    std::stable_sort(in_file_.begin(), in_file_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (auto& [place, problem] : in_file_) out_.problems.push_back(std::move(problem));
    for (std::string& problem : elsewhere_) out_.problems.push_back(std::move(problem));
    for (size_t row = 0; row < setters_.size(); ++row) out_.origins.push_back(origin(row));
    return std::move(out_);
  }

 private:
  using Kind = Setter::Kind;

  void read_sections() {
    const TomlText text = parse_toml(sources_.file_text);
    if (text.fault) file_problem(text.fault->place, text.fault->message, text.fault->hint);
    for (const TomlSection& section : text.sections) {
      if (!is_section(section.name)) {
        unknown_section(section);
        continue;
      }
      for (const TomlEntry& entry : section.entries) read_entry(section.name, entry);
    }
  }

  void unknown_section(const TomlSection& section) {
    std::vector<std::string_view> names;
    for (const Section known : kAllSections) names.push_back(section_name(known));
    const std::string_view word = nearest(section.name, names);
    file_problem(section.place, fmt::format("unknown section [{}]", section.name),
                 word.empty() ? "" : fmt::format("did you mean [{}]?", word));
  }

  void read_entry(const std::string& section, const TomlEntry& entry) {
    const Setting* setting = find_setting(section, entry.key);
    if (setting == nullptr) {
      if (section.empty() && is_section(entry.key)) {
        file_problem(entry.key_place, fmt::format("'{}' is a section", entry.key),
                     fmt::format("write [{}] and its keys below", entry.key));
        return;
      }
      const std::string where = section.empty() ? "outside any section" : "in [" + section + "]";
      file_problem(entry.key_place, fmt::format("unknown key '{}' {}", entry.key, where),
                   key_hint(section, entry.key));
      return;
    }
    if (const Status bad = set_typed(*setting, entry); !bad.is_ok()) {
      file_problem(entry.value_place, fmt::format("{}: {}", setting->name(), bad.message()), "");
      return;
    }
    setter(*setting) = {Kind::kFile, entry.key_place, entry.value_place};
  }

  Status set_typed(const Setting& setting, const TomlEntry& entry) {
    if (const auto* number = std::get_if<int64_t>(&entry.value)) {
      return set_whole_number(setting, *number, out_.settings);
    }
    if (const auto* flag = std::get_if<bool>(&entry.value)) {
      return set_switch(setting, *flag, out_.settings);
    }
    if (const auto* other = std::get_if<OtherKind>(&entry.value)) {
      return wrong_type(setting, other->name);
    }
    const bool takes_string =
        std::holds_alternative<Text>(setting.type) || std::holds_alternative<Choice>(setting.type);
    if (!takes_string) return wrong_type(setting, "a string");
    return set_text(setting, std::get<std::string>(entry.value), out_.settings);
  }

  void read_environment() {
    if (!sources_.env) return;
    for (const Setting& setting : table()) {
      const std::optional<std::string> text = sources_.env(std::string(setting.env));
      if (!text || text->empty()) continue;
      set_from_text(setting, *text, setting.env, Kind::kEnv);
    }
  }

  void look_for_slips() {
    for (const std::string& name : sources_.variables) {
      if (!is_ours_by_name(name)) continue;
      const std::string_view meant = meant_variable(name, sources_.variables);
      if (meant.empty()) continue;
      out_.advice.push_back(fmt::format("{} is no variable of ca4; did you mean {}?", name, meant));
    }
  }

  void read_flags() {
    for (const FlagValue& flag : sources_.flags) {
      set_from_text(*flag.setting, flag.text, flag.setting->flag, Kind::kFlag);
    }
  }

  void set_from_text(const Setting& setting, const std::string& text, std::string_view where,
                     Kind kind) {
    if (const Status bad = set_text(setting, text, out_.settings); !bad.is_ok()) {
      elsewhere_.push_back(fmt::format("{}: {}", where, bad.message()));
      return;
    }
    setter(setting) = {kind, {}, {}};
  }

  void check_supported() {
    for (const Setting& setting : table()) {
      if (setting.unsupported.empty() || !in_use(setting.section)) continue;
      if (setter(setting).kind == Kind::kDefault || value_text(setting, out_.settings).empty()) {
        continue;
      }
      problem_at(setting, std::string(setting.unsupported));
    }
  }

  // A certificate without its key (or the other way round) would silently serve plain HTTP.
  void check_tls_pair() {
    const Processor& processor = out_.settings.processor;
    if (processor.tls_cert_file.empty() == processor.tls_key_file.empty()) return;
    const bool cert_given = processor.tls_key_file.empty();
    needs("processor", cert_given ? "tls_cert_file" : "tls_key_file",
          cert_given ? "tls_key_file" : "tls_cert_file");
  }

  // What would otherwise show as brokers that refuse, minutes later.
  void check_kafka_security() {
    const Kafka& kafka = out_.settings.kafka;
    if (kafka.bootstrap.empty() || !in_use(Section::kKafka)) return;
    if (kafka.cert_file.empty() != kafka.key_file.empty()) {
      const bool cert_given = kafka.key_file.empty();
      needs("kafka", cert_given ? "cert_file" : "key_file", cert_given ? "key_file" : "cert_file");
    }
    if (!kafka.security_protocol.starts_with("sasl")) {
      if (!kafka.username.empty()) needs("kafka", "username", "security_protocol = \"sasl_...\"");
      return;
    }
    if (kafka.sasl_mechanism == "AWS_MSK_IAM") {
      if (kafka.security_protocol == "sasl_ssl") return;
      return needs("kafka", "sasl_mechanism", "security_protocol = \"sasl_ssl\"");
    }
    if (kafka.username.empty()) needs("kafka", "security_protocol", "username");
    if (kafka.password_file.empty()) needs("kafka", "security_protocol", "password_file");
  }

  // Else the admin port is told that another process listens there.
  void check_ports() {
    const Settings& settings = out_.settings;
    if (!in_use(Section::kProcessor) || !in_use(Section::kAdmin)) return;
    if (settings.admin.listen != settings.processor.listen) return;
    if (settings.admin.listen.ends_with(":0")) return;
    problem_at(*find_setting("admin", "listen"),
               "admin.listen is processor.listen too; give it a port of its own, or port 0");
  }

  void needs(std::string_view section, std::string_view given, std::string_view missing) {
    problem_at(*find_setting(section, given),
               fmt::format("{0}.{1} needs {0}.{2} beside it", section, given, missing));
  }

  bool in_use(Section section) const {
    return std::find(sources_.in_use.begin(), sources_.in_use.end(), section) !=
           sources_.in_use.end();
  }

  Setter& setter(const Setting& setting) {
    return setters_[static_cast<size_t>(&setting - table().data())];
  }

  void file_problem(Place place, std::string_view message, std::string_view hint) {
    in_file_.emplace_back(place, point_at(sources_.file, sources_.file_text, place, message, hint));
  }

  // A problem of the value in force, shown where that was set.
  void problem_at(const Setting& setting, const std::string& message) {
    const Setter& by = setter(setting);
    if (by.kind == Kind::kFile) {
      file_problem(by.value_place, message, "");
      return;
    }
    const std::string_view where = by.kind == Kind::kEnv ? setting.env : setting.flag;
    elsewhere_.push_back(fmt::format("{}: {}", where, message));
  }

  std::string origin(size_t row) const {
    const Setting& setting = table()[row];
    switch (setters_[row].kind) {
      case Kind::kDefault:
        return "default";
      case Kind::kFile:
        return fmt::format("file {}:{}", sources_.file, setters_[row].key_place.line);
      case Kind::kEnv:
        return fmt::format("env {}", setting.env);
      case Kind::kFlag:
        return fmt::format("flag {}", setting.flag);
    }
    return {};
  }

  const Sources& sources_;
  std::vector<Setter> setters_;  // one a row of table()
  std::vector<std::pair<Place, std::string>> in_file_;
  std::vector<std::string> elsewhere_;
  Loaded out_;
};

Status unreadable(const std::string& path, std::string_view why) {
  return {Code::kConfig, fmt::format("{}: {}", path, why)};
}

}  // namespace

Status Loaded::status() const {
  if (problems.empty()) return Status::ok();
  return {Code::kConfig, fmt::format("{}", fmt::join(problems, "\n"))};
}

Loaded load(const Sources& sources) {
  return Loader(sources).run();
}

Result<std::string> read_file(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return unreadable(path, "is a directory");
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) return unreadable(path, std::error_code(errno, std::generic_category()).message());

  std::string text(kFileBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return unreadable(path, "cannot be read");
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kFileBytesMax) return unreadable(path, "is larger than 1 MiB");
  return text;
}

std::string find_file(const std::string& given, const Environment& env) {
  if (!given.empty()) return given;
  if (const auto named = env ? env(kFileVariable) : std::nullopt; named && !named->empty()) {
    return *named;
  }
  constexpr const char* kHere = "ca4.toml";
  std::error_code error;
  return std::filesystem::exists(kHere, error) ? kHere : "";
}

}  // namespace ca4::config
