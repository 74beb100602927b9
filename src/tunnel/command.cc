#include "tunnel/command.h"

#include <fmt/format.h>

namespace ca4::tunnel {
namespace {

// Unanswered questions after which ssh gives the bastion up: one or two get lost on a bad link.
constexpr int kKeepAlivesMax = 3;

}  // namespace

std::vector<std::string> ssh_command(const SshOptions& options,
                                     const std::vector<config::Forward>& forwards) {
  std::vector<std::string> argv = {"ssh", "-N", "-T", "-a", "-x"};
  const auto option = [&argv](std::string text) {
    argv.emplace_back("-o");
    argv.push_back(std::move(text));
  };
  option("BatchMode=yes");
  option("ExitOnForwardFailure=yes");
  option(fmt::format("ConnectTimeout={}", options.connect_timeout_s));
  option(fmt::format("ServerAliveInterval={}", options.keepalive_interval_s));
  option(fmt::format("ServerAliveCountMax={}", kKeepAlivesMax));
  option("StrictHostKeyChecking=" + options.host_key_checking);
  if (!options.known_hosts_file.empty()) {
    option(fmt::format("UserKnownHostsFile=\"{}\"", options.known_hosts_file));
  }
  // A shared connection would carry the forwards in a process that is not ours.
  option("ControlMaster=no");
  option("ControlPath=none");
  option("PermitLocalCommand=no");
  option("LogLevel=INFO");  // the words that diagnosis.cc reads, whatever the user's configuration
  if (!options.key_file.empty()) {
    option("IdentitiesOnly=yes");
    argv.emplace_back("-i");
    argv.push_back(options.key_file);
  }
  if (options.port != 0) {
    argv.emplace_back("-p");
    argv.push_back(std::to_string(options.port));
  }
  if (!options.user.empty()) {
    argv.emplace_back("-l");
    argv.push_back(options.user);
  }
  for (const config::Forward& forward : forwards) {
    argv.emplace_back("-L");
    argv.push_back(fmt::format("127.0.0.1:{}:{}", forward.local_port, forward.target()));
  }
  argv.emplace_back("--");
  argv.push_back(options.host);
  return argv;
}

std::vector<std::string> ssm_command(const SsmOptions& options, const config::Forward& forward) {
  std::vector<std::string> argv = {"aws", "ssm", "start-session"};
  const auto option = [&argv](const char* name, std::string value) {
    if (value.empty()) return;
    argv.emplace_back(name);
    argv.push_back(std::move(value));
  };
  option("--target", options.target);
  option("--document-name", "AWS-StartPortForwardingSessionToRemoteHost");
  option("--parameters",
         fmt::format(R"({{"host":["{}"],"portNumber":["{}"],"localPortNumber":["{}"]}})",
                     forward.host, forward.port, forward.local_port));
  option("--region", options.region);
  option("--profile", options.profile);
  return argv;
}

}  // namespace ca4::tunnel
