#include "config/load.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/test_dir.h"

namespace ca4::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Setting* row(std::string_view name) {
  for (const Setting& setting : table()) {
    if (setting.name() == name) return &setting;
  }
  return nullptr;
}

Environment variables(const std::map<std::string, std::string>& values) {
  return [values](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

Loaded load_file(std::string text) {
  Sources sources;
  sources.file = "ca4.toml";
  sources.file_text = std::move(text);
  return load(sources);
}

std::string problem(std::string text) {
  return load_file(std::move(text)).status().message();
}

std::string origin(const Loaded& loaded, std::string_view name) {
  return loaded.origins.at(static_cast<size_t>(row(name) - table().data()));
}

TEST(Load, WithoutSourcesEverythingIsDefault) {
  const Loaded loaded = load({});
  EXPECT_TRUE(loaded.status().is_ok());
  EXPECT_EQ(loaded.settings.processor.listen, "127.0.0.1:8000");
  for (const std::string& from : loaded.origins) EXPECT_EQ(from, "default");
}

TEST(Load, FlagsOverrideVariablesOverrideTheFile) {
  Sources sources;
  sources.file = "ca4.toml";
  sources.file_text = "data_dir = 'file'\n[log]\ntopic = 'file'\n[store]\ndatabase = 'file'\n";
  sources.env = variables({{"KAFKA_TOPIC", "env"}, {"CA4_DATA_DIR", "env"}});
  sources.flags = {{row("data_dir"), "flag"}};
  const Loaded loaded = load(sources);
  EXPECT_EQ(loaded.status().to_string(), "ok");
  EXPECT_EQ(loaded.settings.data_dir, "flag");
  EXPECT_EQ(loaded.settings.log.topic, "env");
  EXPECT_EQ(loaded.settings.store.database, "file");
  EXPECT_EQ(origin(loaded, "data_dir"), "flag --data-dir");
  EXPECT_EQ(origin(loaded, "log.topic"), "env KAFKA_TOPIC");
  EXPECT_EQ(origin(loaded, "store.database"), "file ca4.toml:5");
  EXPECT_EQ(origin(loaded, "store.collection"), "default");
}

TEST(Load, AnEmptyVariableCountsAsNotSet) {
  Sources sources;
  sources.env = variables({{"KAFKA_BOOTSTRAP", ""}, {"CA4_PROCESSOR_THREADS", ""}});
  EXPECT_EQ(load(sources).status().to_string(), "ok");
}

TEST(Load, AVariableThatIsNearlyOneOfOursIsPointedOut) {
  Sources sources;
  sources.variables = {"CA4_PROCESSOR_TOKN_FILE", "CA4_PROCESOR_LISTEN", "MONGO_URL", "CA4_CONFG"};
  const Loaded loaded = load(sources);
  EXPECT_EQ(loaded.status().to_string(), "ok");
  EXPECT_THAT(loaded.advice, ElementsAre("CA4_PROCESSOR_TOKN_FILE is no variable of ca4; did "
                                         "you mean CA4_PROCESSOR_TOKEN_FILE?",
                                         HasSubstr("did you mean CA4_PROCESSOR_LISTEN?"),
                                         HasSubstr("did you mean MONGO_URI?"),
                                         HasSubstr("did you mean CA4_CONFIG?")));
}

TEST(Load, AVariableByThePatternOfTheOthersIsPointedOut) {
  for (const auto& [guess, meant] :
       std::map<std::string, std::string>{{"CA4_KAFKA_BOOTSTRAP", "KAFKA_BOOTSTRAP"},
                                          {"CA4_KAFKA_TOPIC", "KAFKA_TOPIC"},
                                          {"CA4_LOG_TOPIC", "KAFKA_TOPIC"},
                                          {"CA4_MONGO_URI", "MONGO_URI"},
                                          {"CA4_STORE_MONGO_URI", "MONGO_URI"},
                                          {"CA4_LISTEN", "CA4_PROCESSOR_LISTEN"},
                                          {"CA4_LOG_LEVEL", "CA4_LOGGING_LEVEL"},
                                          {"CA4_ENDPOINT", "CA4_PRODUCER_ENDPOINT"}}) {
    Sources sources;
    sources.variables = {guess};
    EXPECT_THAT(load(sources).advice, ElementsAre(HasSubstr("did you mean " + meant + "?")))
        << guess;
    sources.variables.push_back(meant);
    EXPECT_THAT(load(sources).advice, IsEmpty()) << guess;
  }
  Sources sources;
  sources.variables = {"CA4_TOKEN_FILE", "CA4_MODEL"};  // of processor or producer?
  EXPECT_THAT(load(sources).advice, IsEmpty());
}

TEST(Load, VariablesOfScriptsAndOfOthersAreLeftAlone) {
  Sources sources;
  // Ours; the deployment's; another program's, beside ours; Kubernetes', of a service
  // ca4-processor.
  sources.variables = {"CA4_DATA_DIR",
                       "CA4_STATE_DIR",
                       "CA4_TOKENS_FILE",
                       "CA4_TLS_CERT_FILE",
                       "KAFKA_BROKERS",
                       "MONGO_URI",
                       "MONGO_URL",
                       "CA4_PROCESSOR_PORT",
                       "HOME",
                       "CA4_" + std::string(100'000, 'X')};
  EXPECT_THAT(load(sources).advice, IsEmpty());
}

TEST(Load, UnknownKeyIsShownWithASuggestion) {
  EXPECT_EQ(problem("# a comment\n[processor]\n  lisen = \"127.0.0.1:8000\"\n"),
            "ca4.toml:3:3: unknown key 'lisen' in [processor]\n"
            "  lisen = \"127.0.0.1:8000\"\n"
            "  ^ did you mean 'listen'?");
}

TEST(Load, KeyInTheWrongSectionIsSentToItsOwn) {
  EXPECT_EQ(problem("listen = \"127.0.0.1:8000\"\n"),
            "ca4.toml:1:1: unknown key 'listen' outside any section\n"
            "listen = \"127.0.0.1:8000\"\n"
            "^ did you mean 'listen' in [processor]?");
  EXPECT_EQ(problem("[log]\ndata_dir = 'x'\n"),
            "ca4.toml:2:1: unknown key 'data_dir' in [log]\n"
            "data_dir = 'x'\n"
            "^ it belongs above the first section");
}

TEST(Load, UnknownKeyWithNothingNearHasNoSuggestion) {
  EXPECT_EQ(problem("[log]\nbanana = 1\n"),
            "ca4.toml:2:1: unknown key 'banana' in [log]\n"
            "banana = 1\n"
            "^");
}

TEST(Load, UnknownSectionIsOneProblem) {
  EXPECT_EQ(problem("[procesor]\nlisten = 'a:1'\nthreads = 1\n"),
            "ca4.toml:1:2: unknown section [procesor]\n"
            "[procesor]\n"
            " ^ did you mean [processor]?");
}

TEST(Load, SectionGivenAsAValueIsExplained) {
  EXPECT_EQ(problem("log = 'x'\n"),
            "ca4.toml:1:1: 'log' is a section\n"
            "log = 'x'\n"
            "^ write [log] and its keys below");
}

TEST(Load, WrongTypeIsShownAtTheValue) {
  EXPECT_EQ(problem("[processor]\nthreads = \"4\"\n"),
            "ca4.toml:2:11: processor.threads: must be a whole number of threads, not a string\n"
            "threads = \"4\"\n"
            "          ^");
  EXPECT_EQ(problem("[processor]\nthreads = 4.0\n"),
            "ca4.toml:2:11: processor.threads: must be a whole number of threads, not a "
            "floating-point number\n"
            "threads = 4.0\n"
            "          ^");
  EXPECT_EQ(problem("[processor]\nlisten = 8000\n"),
            "ca4.toml:2:10: processor.listen: must be a string, not a whole number\n"
            "listen = 8000\n"
            "         ^");
  EXPECT_EQ(problem("[archive]\nenabled = 'true'\n"),
            "ca4.toml:2:11: archive.enabled: must be true or false, not a string\n"
            "enabled = 'true'\n"
            "          ^");
  EXPECT_EQ(problem("data_dir = [1]\n"),
            "ca4.toml:1:12: data_dir: must be a string, not an array\n"
            "data_dir = [1]\n"
            "           ^");
  EXPECT_EQ(problem("data_dir = 2026-01-01\n"),
            "ca4.toml:1:12: data_dir: must be a string, not a date or time\n"
            "data_dir = 2026-01-01\n"
            "           ^");
}

TEST(Load, OutOfRangeNamesTheRange) {
  EXPECT_EQ(problem("[processor]\nthreads = 1_000\n"),
            "ca4.toml:2:11: processor.threads: must be 0 to 256 threads, not 1000\n"
            "threads = 1_000\n"
            "          ^");
}

TEST(Load, CaretCountsLettersAndKeepsTabs) {
  EXPECT_EQ(problem("[log]\n\ttopic = 'é/'\n"),
            "ca4.toml:2:10: log.topic: expected 1 to 249 of A-Z a-z 0-9 . _ -; got 'é/'\n"
            "\ttopic = 'é/'\n"
            "\t        ^");
  EXPECT_EQ(problem("\"é\" = 1; x\n").substr(0, 13), "ca4.toml:1:8:");
}

TEST(Load, AllProblemsAreReportedInTheFilesOrder) {
  const Loaded loaded = load_file(
      "[worker]\nbatch = 1\n[processor]\nzzz = 1\nthreads = -1\n[archive]\nenabled = 1\n");
  ASSERT_EQ(loaded.problems.size(), 4U);
  EXPECT_TRUE(loaded.problems[0].starts_with("ca4.toml:2:1: unknown key 'batch' in [worker]"));
  EXPECT_TRUE(loaded.problems[1].starts_with("ca4.toml:4:1: unknown key 'zzz'"));
  EXPECT_TRUE(loaded.problems[2].starts_with("ca4.toml:5:11: processor.threads"));
  EXPECT_TRUE(loaded.problems[3].starts_with("ca4.toml:7:11: archive.enabled"));
  EXPECT_EQ(loaded.status().code(), Code::kConfig);
  EXPECT_EQ(exit_code(loaded.status().code()), 78);
}

TEST(Load, SyntaxErrorsHaveTheSameForm) {
  EXPECT_EQ(problem("[processor]\nlisten \"x\"\n"),
            "ca4.toml:2:8: expected '=', saw '\"'\n"
            "listen \"x\"\n"
            "       ^");
  EXPECT_EQ(problem("[log]\ntopic = 'a'\ntopic = 'b'\n"),
            "ca4.toml:3:9: cannot redefine existing string 'topic'\n"
            "topic = 'b'\n"
            "        ^");
  EXPECT_EQ(problem("data_dir = \"never ended\n").substr(0, 15), "ca4.toml:1:24: ");
}

TEST(Load, TextWithoutQuotesIsToldWithWhatIsMissing) {
  const auto hint = [](const std::string& text) {
    const std::string shown = problem(text);
    return shown.substr(shown.find_last_of('^') + 1);
  };
  EXPECT_EQ(hint("data_dir = /var/lib/ca4\n"), " a text stands in quotes");
  EXPECT_EQ(hint("[processor]\nlisten = 127.0.0.1:8000 # here\n"), " a text stands in quotes");
  EXPECT_EQ(hint("[logging]\nlevel = info"), " a text stands in quotes");
  EXPECT_EQ(hint("[archive]\nenabled = False\r\n"), " false, in small letters and without quotes");
  EXPECT_EQ(hint("[processor]\nbody_bytes_max = 16MiB\n"), "");
  EXPECT_EQ(hint("[processor]\nthreads =\n"), "");
}

TEST(Load, AZeroByteInASectionsNameIsASyntaxError) {
  EXPECT_EQ(problem(std::string("[\0a]\nx = 1\n", 11)).substr(0, 14), "ca4.toml:1:2: ");
}

TEST(Load, VariableErrorsNameTheVariable) {
  Sources sources;
  sources.env = variables({{"CA4_PROCESSOR_THREADS", "many"}, {"KAFKA_TOPIC", "a b"}});
  EXPECT_EQ(load(sources).status().message(),
            "CA4_PROCESSOR_THREADS: must be a whole number of threads, not 'many'\n"
            "KAFKA_TOPIC: expected 1 to 249 of A-Z a-z 0-9 . _ -; got 'a b'");
}

TEST(Load, BrokersAreAListOfAddresses) {
  for (const char* text : {"kafka", "kafka:", "kafka:0", "kafka:9092,", ",kafka:9092", "a:1,b"}) {
    Sources sources;
    sources.env = variables({{"KAFKA_BOOTSTRAP", text}});
    EXPECT_EQ(
        load(sources).status().message(),
        "KAFKA_BOOTSTRAP: expected HOST:PORT[,HOST:PORT...]; got '" + std::string(text) + "'");
  }
  Sources sources;
  sources.env = variables({{"KAFKA_BOOTSTRAP", "kafka-0:9092,[::1]:9093,127.0.0.1:9094"}});
  EXPECT_EQ(load(sources).status().to_string(), "ok");
}

TEST(Load, ALogInToKafkaNeedsAllOfItsParts) {
  const auto said = [](std::map<std::string, std::string> more) {
    Sources sources;
    more["KAFKA_BOOTSTRAP"] = "kafka:9092";
    sources.env = variables(more);
    return load(sources).status().message();
  };
  EXPECT_EQ(said({{"CA4_KAFKA_SECURITY_PROTOCOL", "sasl_ssl"}}),
            "CA4_KAFKA_SECURITY_PROTOCOL: kafka.security_protocol needs kafka.username beside it\n"
            "CA4_KAFKA_SECURITY_PROTOCOL: kafka.security_protocol needs kafka.password_file beside "
            "it");
  EXPECT_EQ(said({{"CA4_KAFKA_SECURITY_PROTOCOL", "sasl_plaintext"},
                  {"CA4_KAFKA_SASL_MECHANISM", "AWS_MSK_IAM"}}),
            "CA4_KAFKA_SASL_MECHANISM: kafka.sasl_mechanism needs kafka.security_protocol = "
            "\"sasl_ssl\" beside it");
  EXPECT_EQ(
      said({{"CA4_KAFKA_USERNAME", "ann"}}),
      "CA4_KAFKA_USERNAME: kafka.username needs kafka.security_protocol = \"sasl_...\" beside "
      "it");
  EXPECT_EQ(said({{"CA4_KAFKA_CERT_FILE", "a.pem"}}),
            "CA4_KAFKA_CERT_FILE: kafka.cert_file needs kafka.key_file beside it");
  EXPECT_EQ(said({{"CA4_KAFKA_SECURITY_PROTOCOL", "sasl_ssl"},
                  {"CA4_KAFKA_USERNAME", "ann"},
                  {"CA4_KAFKA_PASSWORD_FILE", "pw"}}),
            "");
  EXPECT_EQ(said({{"CA4_KAFKA_SECURITY_PROTOCOL", "sasl_ssl"},
                  {"CA4_KAFKA_SASL_MECHANISM", "AWS_MSK_IAM"}}),
            "");
}

TEST(Load, NamesThatCannotBeAFileNameAreRefused) {
  for (const char* name : {"a/b", "../x", ".hidden", "a b", "é", "a\nb"}) {
    Sources sources;
    sources.env = variables({{"MONGO_DB", name}, {"MONGO_COLLECTION", name}});
    EXPECT_EQ(load(sources).problems.size(), 2U) << name;
  }
  Sources sources;
  sources.env = variables({{"MONGO_DB", std::string(121, 'a')}, {"MONGO_COLLECTION", ".c"}});
  EXPECT_EQ(load(sources).status().message(),
            "MONGO_DB: expected 1 to 120 of A-Z a-z 0-9 _ -; got '" + std::string(121, 'a') +
                "'\nMONGO_COLLECTION: expected 1 to 120 of A-Z a-z 0-9 . _ -, the first no dot;"
                " got '.c'");
  sources.env = variables({{"MONGO_DB", "gpu-1_a"}, {"MONGO_COLLECTION", "meta.v2"}});
  EXPECT_EQ(load(sources).status().to_string(), "ok");
}

TEST(Load, AnEchoedLineNeverShowsAPassword) {
  EXPECT_EQ(problem("[store]\nmongo_uri = [\"mongodb://u:s3cret@h\"]\n"),
            "ca4.toml:2:13: store.mongo_uri: must be a string, not an array\n"
            "mongo_uri = [\"mongodb://u:****@h\"]\n"
            "            ^");
  const std::string mistyped = problem("[store]\nmongo_url = \"mongodb://u:s3cret@h\" oops\n");
  EXPECT_EQ(mistyped.find("s3cret"), std::string::npos) << mistyped;
}

TEST(Load, HalfATlsPairIsRefusedWhereItWasSet) {
  EXPECT_EQ(problem("[processor]\ntls_cert_file = 'c.pem'\n"),
            "ca4.toml:2:17: processor.tls_cert_file needs processor.tls_key_file beside it\n"
            "tls_cert_file = 'c.pem'\n"
            "                ^");
  Sources sources;
  sources.flags = {{row("processor.tls_key_file"), "k.pem"}};
  EXPECT_EQ(load(sources).status().message(),
            "--tls-key-file: processor.tls_key_file needs processor.tls_cert_file beside it");
}

TEST(Load, OneAddressForBothPortsIsRefusedWhereBothAreOpened) {
  Sources sources;
  sources.flags = {{row("processor.listen"), "127.0.0.1:8001"},
                   {row("admin.listen"), "127.0.0.1:8001"}};
  sources.in_use = {Section::kProducer, Section::kAdmin};
  EXPECT_TRUE(load(sources).status().is_ok());  // as for produce, which serves no events
  sources.in_use = {Section::kProcessor, Section::kAdmin};
  EXPECT_EQ(
      load(sources).status().message(),
      "--admin-listen: admin.listen is processor.listen too; give it a port of its own, or port 0");
  sources.flags = {{row("processor.listen"), "127.0.0.1:0"}, {row("admin.listen"), "127.0.0.1:0"}};
  EXPECT_TRUE(load(sources).status().is_ok());
}

TEST(Load, LongAndUnprintableLinesAreTamed) {
  const std::string shown = problem("# \x1b[31m\n[log]\nx = '" + std::string(5'000, 'y') + "'\n");
  EXPECT_LT(shown.size(), 1'000U);
  EXPECT_EQ(shown.find('\x1b'), std::string::npos);
}

class LoadFile : public ::testing::Test {
 protected:
  const TempDir temporary_;
  const std::filesystem::path dir_{temporary_.path()};
};

TEST_F(LoadFile, MissingFileIsAConfigurationError) {
  const std::string path = (dir_ / "none.toml").string();
  const Status status = read_file(path).status();
  EXPECT_EQ(status.code(), Code::kConfig);
  EXPECT_EQ(status.message(), path + ": No such file or directory");
  EXPECT_EQ(read_file(dir_.string()).status().message(), dir_.string() + ": is a directory");
}

TEST_F(LoadFile, AHugeFileIsRefused) {
  const std::string path = (dir_ / "big.toml").string();
  std::ofstream(path) << std::string(kFileBytesMax + 1, '#');
  EXPECT_EQ(read_file(path).status().message(), path + ": is larger than 1 MiB");
  std::ofstream(path) << std::string(kFileBytesMax, '#');
  EXPECT_TRUE(read_file(path).is_ok());
}

TEST_F(LoadFile, TheFlagIsStrongerThanTheVariable) {
  const Environment env = variables({{"CA4_CONFIG", "/etc/ca4.toml"}});
  EXPECT_EQ(find_file("mine.toml", env), "mine.toml");
  EXPECT_EQ(find_file("", env), "/etc/ca4.toml");
}

}  // namespace
}  // namespace ca4::config
