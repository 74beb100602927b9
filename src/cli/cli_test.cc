// The command line as people and shells meet it, on the real program.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/test_dir.h"
#include "cli/dispatch.h"
#include "cli/help.h"
#include "cli/subcommand.h"
#include "config/render.h"

namespace ca4::cli {
namespace {

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

class Cli : public ::testing::Test {
 protected:
  // Runs a shell line in the test's directory, `ca4` being the program, with none of our variables.
  Outcome sh(const std::string& line) const {
    write("run.sh", "unset ${!CA4_*} ${!KAFKA_*} ${!MONGO_*} ${!AWS_*}\nca4() { '" CA4_BINARY
                    "' \"$@\"; }\n" +
                        line + "\n");
    const std::string dir = dir_.string();
    const std::string command = "cd '" + dir + "' && bash run.sh >out.txt 2>err.txt </dev/null";
    const int status = std::system(command.c_str());  // NOLINT(concurrency-mt-unsafe)
    Outcome outcome;
    outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    outcome.out = slurp(dir_ / "out.txt");
    outcome.err = slurp(dir_ / "err.txt");
    return outcome;
  }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ / name, std::ios::binary) << text;
  }

  const TempDir temporary_;
  const std::filesystem::path dir_{temporary_.path()};
};

TEST_F(Cli, VersionIsOneLine) {
  const Outcome ran = sh("ca4 --version");
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_EQ(ran.out, "ca4 " CA4_VERSION "\n");
}

TEST_F(Cli, OutputThatCannotBeWrittenIsAFailure) {
  for (const char* arguments :
       {"--help", "--version", "help log", "config", "config --doc markdown",
        "config --format json", "completion bash", "completion zsh"}) {
    const Outcome ran = sh(std::string("ca4 ") + arguments + " >/dev/full");
    EXPECT_EQ(ran.exit_code, 1) << arguments;
    EXPECT_EQ(ran.err, "ca4: standard output: No space left on device\n") << arguments;
  }
}

TEST_F(Cli, ReadersMayStopReading) {
  const Outcome ran =
      sh("trap '' PIPE\n(sleep 0.2; ca4 completion bash) | true\n"
         "echo ${PIPESTATUS[0]}");
  EXPECT_EQ(ran.out, "0\n");
  EXPECT_EQ(ran.err, "");
}

TEST_F(Cli, OverviewListsEveryCommandWithItsSummary) {
  const Outcome help = sh("ca4 --help");
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_TRUE(has(help.out, "Usage: ca4 COMMAND [OPTIONS]")) << help.out;
  EXPECT_TRUE(has(help.out, "\n  config      show every setting")) << help.out;
  EXPECT_TRUE(has(help.out, "\n  completion  print the shell")) << help.out;
  EXPECT_TRUE(has(help.out, "Example:")) << help.out;
  EXPECT_EQ(sh("ca4 help").out, help.out);
}

TEST_F(Cli, OverviewOfThePythonPackageNamesNoCommandThatIsNotInIt) {
  constexpr Entry kCommands[] = {{"produce", "turn images into embeddings", make_produce}};
  const char* const arguments[] = {"ca4", "--help"};
  testing::internal::CaptureStdout();
  const int exit_code = dispatch(kCommands, 2, arguments);
  const std::string out = testing::internal::GetCapturedStdout();
  EXPECT_EQ(exit_code, 0);
  EXPECT_TRUE(has(out, "\n  ca4 produce photos/ ")) << out;
  EXPECT_FALSE(has(out, "\n  ca4 up")) << out;
  EXPECT_FALSE(has(out, "ca4 config")) << out;
}

TEST_F(Cli, OnlyWhatACommandActsOnIsAFlagOfIt) {
  const std::string log = sh("ca4 log --help").out;
  const std::string dlq = sh("ca4 dlq --help").out;
  for (const std::string& help : {log, dlq}) {
    EXPECT_TRUE(has(help, "--topic")) << help;
    EXPECT_FALSE(has(help, "--log-retention-age-s")) << help;
  }
  EXPECT_FALSE(has(log, "--kafka")) << log;
  EXPECT_TRUE(has(dlq, "--kafka-bootstrap")) << dlq;
  EXPECT_FALSE(has(log, "--log-bytes-max")) << log;
  EXPECT_TRUE(has(dlq, "--log-bytes-max")) << dlq;
}

TEST_F(Cli, KafkaSettingsThatCanNotWorkAreConfigurationErrors) {
  const Outcome unset = sh("ca4 topics list");
  EXPECT_EQ(unset.exit_code, 78);
  EXPECT_TRUE(has(unset.err, "kafka.bootstrap is not set")) << unset.err;
  const Outcome map = sh("ca4 topics list --kafka-bootstrap a:1 --kafka-broker-map a:1");
  EXPECT_EQ(map.exit_code, 78);
  EXPECT_TRUE(has(map.err, "kafka.broker_map: 'a:1': expected ADVERTISED=REACHED")) << map.err;
  const std::string login = " --kafka-bootstrap a:1 --kafka-security-protocol sasl_ssl ";
  const Outcome password =
      sh("ca4 dlq list" + login + "--kafka-username u --kafka-password-file none");
  EXPECT_EQ(password.exit_code, 78);
  EXPECT_TRUE(has(password.err, "kafka.password_file: none")) << password.err;
  const Outcome region = sh("AWS_EC2_METADATA_DISABLED=true ca4 dlq list" + login +
                            "--kafka-sasl-mechanism AWS_MSK_IAM");
  EXPECT_EQ(region.exit_code, 78);
  EXPECT_TRUE(has(region.err, "kafka.aws_region")) << region.err;
  const Outcome ca =
      sh("ca4 dlq list --kafka-bootstrap a:1 --kafka-security-protocol ssl "
         "--kafka-ca-file none.pem");
  EXPECT_EQ(ca.exit_code, 78);
  EXPECT_TRUE(has(ca.err, "none.pem")) << ca.err;
}

TEST_F(Cli, NoCommandIsAUsageErrorThatShowsTheOverview) {
  const Outcome ran = sh("ca4");
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_EQ(ran.out, "");
  EXPECT_TRUE(has(ran.err, "Commands:")) << ran.err;
}

TEST_F(Cli, EveryCommandHasHelpWithinAHundredColumns) {
  const Outcome names = sh("ca4 --help | sed -n '/^Commands:/,/^$/s/^  \\([a-z]*\\) .*/\\1/p'");
  ASSERT_TRUE(has(names.out, "config\n")) << names.out;
  std::istringstream commands(names.out);
  for (std::string name; std::getline(commands, name);) {
    const Outcome ran = sh("ca4 " + name + " --help");
    EXPECT_EQ(ran.exit_code, 0) << name;
    EXPECT_TRUE(has(ran.out, "Usage: ca4 " + name)) << ran.out;
    EXPECT_FALSE(has(ran.out, "\n\n\n")) << ran.out;
    EXPECT_FALSE(has(ran.out, "{true}")) << ran.out;
    EXPECT_EQ(ran.err, "") << name;
    EXPECT_EQ(sh("ca4 help " + name).out, ran.out);
    std::istringstream lines(ran.out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100U) << line;
  }
}

TEST_F(Cli, MistypedCommandGetsASuggestion) {
  const Outcome ran = sh("ca4 confi");
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_EQ(ran.err, "ca4: unknown command 'confi'; did you mean 'config'?\nTry 'ca4 --help'.\n");
  EXPECT_EQ(sh("ca4 banana").err, "ca4: unknown command 'banana'\nTry 'ca4 --help'.\n");
}

TEST_F(Cli, MistypedOptionGetsASuggestion) {
  const Outcome ran = sh("ca4 config --lisen=127.0.0.1:80");
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_EQ(ran.err,
            "ca4 config: unknown option '--lisen'; did you mean '--listen'?\n"
            "Try 'ca4 config --help'.\n");
  EXPECT_TRUE(has(sh("ca4 up --port 80").err, "; did you mean '--listen HOST:PORT'?\n"));
  EXPECT_TRUE(has(sh("ca4 token new --token-fil x").err, "; did you mean '--token-file'?\n"));
  const std::string secret = sh("ca4 db ping --mongo-uri=mongodb://ann:s3cret@db/").err;
  EXPECT_TRUE(has(secret, "unknown option '--mongo-uri': others can read a command line"))
      << secret;
  EXPECT_FALSE(has(secret, "s3cret")) << secret;
}

TEST_F(Cli, BadFlagValueIsAUsageError) {
  const Outcome ran = sh("ca4 config --threads 900");
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_EQ(ran.err,
            "ca4 config: --threads: must be 0 to 256 threads, not 900\n"
            "Try 'ca4 config --help'.\n");
}

TEST_F(Cli, BadValuesOfACommandsOwnOptionsAreUsageErrors) {
  const auto refused = [&](const std::string& line) {
    const Outcome ran = sh("ca4 " + line);
    EXPECT_EQ(ran.exit_code, 2) << line;
    return ran.err.substr(0, ran.err.find('\n'));
  };
  EXPECT_EQ(refused("query --similar x -k 0"),
            "ca4 query: --neighbours: must be a whole number from 1 to 1000000000, not '0'");
  EXPECT_EQ(refused("query --limit -1"),
            "ca4 query: --limit: must be a whole number from 0 to 1000000000, not '-1'");
  EXPECT_EQ(refused("log tail --limit many"),
            "ca4 log tail: --limit: must be a whole number from 1 to 1000000000, not 'many'");
  EXPECT_EQ(refused("query --format xml"),
            "ca4 query: --format: must be one of table, ndjson, json, not 'xml'");
  EXPECT_EQ(refused("token new --name a --scope wirte"),
            "ca4 token new: --scope: 'wirte' is no scope; there are write, read and admin");
  for (const char* const address : {"foo://x", "http://", "https:///", "''"}) {
    for (const char* const command : {"tap ", "top "}) {
      EXPECT_TRUE(has(refused(std::string(command) + address), "expected HOST:PORT, http://HOST"));
    }
  }
  EXPECT_EQ(refused("produce x --model"), "ca4 produce: --model needs FILE.onnx behind it");
  EXPECT_EQ(refused("log"), "ca4 log: which of its commands? head, tail, stats, check");
}

TEST_F(Cli, LogSaysWhereEventsAreWithKafka) {
  EXPECT_TRUE(has(sh("ca4 log tail").err, "give the data folder and topic"));
  EXPECT_TRUE(has(sh("KAFKA_BOOTSTRAP=localhost:9092 ca4 log tail").err, "events are in Kafka"));
}

TEST_F(Cli, ALibraryInTheFolderNeedsNoSlash) {
  write("m.onnx", "no model");
  write("ort.so", "no library");
  const Outcome ran = sh("ca4 produce m.onnx --model m.onnx --ort ort.so");
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.err, "ca4 produce: ./ort.so: file too short\n");
}

TEST_F(Cli, ConfigShowsWhereEachValueComesFrom) {
  write("ca4.toml", "[processor]\nthreads = 3\n");
  const Outcome ran =
      sh("CA4_DATA_DIR=elsewhere ca4 config --listen '[::1]:81' --no-archive | tr -s ' '");
  EXPECT_TRUE(has(ran.out, "\nprocessor.threads 3 file ca4.toml:2\n")) << ran.out;
  EXPECT_TRUE(has(ran.out, "\ndata_dir \"elsewhere\" env CA4_DATA_DIR\n")) << ran.out;
  EXPECT_TRUE(has(ran.out, "\nprocessor.listen \"[::1]:81\" flag --listen\n")) << ran.out;
  EXPECT_TRUE(has(ran.out, "\narchive.enabled false flag --archive\n")) << ran.out;
  EXPECT_TRUE(has(ran.out, "\nlog.topic \"gpu-metadata\" default\n")) << ran.out;
}

TEST_F(Cli, ConfigFileIsTheFlagsThenTheVariablesThenTheDirectorys) {
  write("ca4.toml", "data_dir = 'here'\n");
  write("env.toml", "data_dir = 'variable'\n");
  write("flag.toml", "data_dir = 'flag'\n");
  const std::string grep = " | grep data_dir";
  EXPECT_TRUE(has(sh("ca4 config" + grep).out, "here"));
  EXPECT_TRUE(has(sh("CA4_CONFIG=env.toml ca4 config" + grep).out, "variable"));
  EXPECT_TRUE(has(sh("CA4_CONFIG=env.toml ca4 config -c flag.toml" + grep).out, "flag"));
  const Outcome missing = sh("ca4 config --config none.toml");
  EXPECT_EQ(missing.exit_code, 78);
  EXPECT_EQ(missing.err, "none.toml: No such file or directory\n");
}

TEST_F(Cli, BadConfigurationExits78WithAllProblems) {
  write("ca4.toml", "[processor]\nlisen = 1\n[log]\ntopic = 2\n");
  const Outcome ran = sh("CA4_PROCESSOR_THREADS=x ca4 config");
  EXPECT_EQ(ran.exit_code, 78);
  EXPECT_EQ(ran.err,
            "ca4.toml:2:1: unknown key 'lisen' in [processor]\n"
            "lisen = 1\n"
            "^ did you mean 'listen'?\n"
            "ca4.toml:4:9: log.topic: must be a string, not a whole number\n"
            "topic = 2\n"
            "        ^\n"
            "CA4_PROCESSOR_THREADS: must be a whole number of threads, not 'x'\n");
}

TEST_F(Cli, ValidateLooksAtTheFileAlone) {
  write("good.toml", "[log]\ntopic = 'images'\n");
  write("bad.toml", "[log]\ntopik = 'images'\n");
  const Outcome good = sh("CA4_PROCESSOR_THREADS=x ca4 config validate good.toml");
  EXPECT_EQ(good.exit_code, 0) << good.err;
  EXPECT_EQ(good.out, "good.toml: ok\n");
  const Outcome bad = sh("ca4 config validate bad.toml");
  EXPECT_EQ(bad.exit_code, 78);
  EXPECT_TRUE(has(bad.err, "bad.toml:2:1: unknown key 'topik' in [log]")) << bad.err;
}

TEST_F(Cli, ConfigJsonIsJsonAndTomlIsToml) {
  const std::string python =
      "/usr/bin/python3 -c 'import json,sys; print(len(json.load(sys.stdin)[";
  const Outcome json = sh("ca4 config --format json | " + python + "\"settings\"]))'");
  EXPECT_EQ(json.exit_code, 0) << json.err;
  EXPECT_EQ(json.out, std::to_string(config::table().size()) + "\n");
  const Outcome toml = sh("ca4 config --format toml >all.toml && ca4 config validate all.toml");
  EXPECT_EQ(toml.exit_code, 0) << toml.err;
}

TEST_F(Cli, DocumentationIsCurrent) {
  const Outcome ran = sh("ca4 config --doc markdown");
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_EQ(ran.out, slurp(CA4_SOURCE_DIR "/docs/configuration.md"))
      << "run: ca4 config --doc markdown >docs/configuration.md";
}

class Completion : public Cli {
 protected:
  // What bash offers when Tab is pressed after these words, the last one unfinished.
  std::string bash(const std::string& words) const {
    return sh("source <(ca4 completion bash)\nCOMP_WORDS=(" + words +
              ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_ca4\necho \"${COMPREPLY[*]}\"")
        .out;
  }
};

TEST_F(Completion, BothScriptsAreValid) {
  const Outcome bash = sh("ca4 completion bash >s && bash -n s");
  EXPECT_EQ(bash.exit_code, 0) << bash.err;
  const Outcome zsh = sh("ca4 completion zsh >s && zsh -n s");
  EXPECT_EQ(zsh.exit_code, 0) << zsh.err;
  EXPECT_EQ(sh("ca4 completion fish").exit_code, 2);
}

TEST_F(Completion, CommandsAreCompleted) {
  EXPECT_EQ(bash("ca4 comp"), "completion\n");
  EXPECT_EQ(bash("ca4 config val"), "validate\n");
  EXPECT_EQ(bash("ca4 completion z"), "zsh\n");
}

TEST_F(Completion, OptionsAreThoseOfTheCommand) {
  EXPECT_EQ(bash("ca4 config --li"), "--listen\n");
  EXPECT_EQ(bash("ca4 --li"), "\n");
  EXPECT_EQ(bash("ca4 config --no-ar"), "--no-archive\n");
}

TEST_F(Completion, ValuesAreChoicesOrLeftToFileNames) {
  EXPECT_EQ(bash("ca4 config --log-format j"), "json\n");
  EXPECT_EQ(bash("ca4 config --log-format = j"), "json\n");
  EXPECT_EQ(bash("ca4 config --log-format ="), "text json\n");
  EXPECT_EQ(bash("ca4 config --config c"), "\n");
  EXPECT_EQ(bash("ca4 query --similar I"), "\n");
  EXPECT_EQ(bash("ca4 verify kafka w"), "workflow\n");
  EXPECT_EQ(bash("ca4 verify workflow --until d"), "database\n");
  EXPECT_EQ(bash("ca4 config --data-dir validate val"), "validate\n");
}

TEST_F(Completion, ZshDefinesAFunctionAndRegistersIt) {
  const Outcome ran =
      sh("ca4 completion zsh >s; zsh -f -c 'compdef() { print registered $*; }; source ./s; "
         "_describe() { print -l ${(P)${@[-1]}}; }; words=(ca4 conf); CURRENT=2; _ca4'");
  EXPECT_TRUE(has(ran.out, "registered _ca4 ca4\n")) << ran.out << ran.err;
  EXPECT_TRUE(has(ran.out, "\nconfig:show every setting")) << ran.out << ran.err;
}

TEST(Help, WrapBreaksAtSpacesOnly) {
  const std::vector<std::string> expected = {"aa bb", "cccccccc", "d"};
  EXPECT_EQ(wrap("aa bb cccccccc d", 5), expected);
  EXPECT_TRUE(wrap("", 5).empty());
}

}  // namespace
}  // namespace ca4::cli
