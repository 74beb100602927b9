#include "tunnel/diagnosis.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

namespace ca4::tunnel {
namespace {

// The first row whose pattern is in the output counts. {host}, {user}, {port}, {key},
// {known_hosts}, {target}, {region} and {line} (the line with the pattern) are filled in.
struct Rule {
  std::string_view pattern;
  std::string_view what;
  std::string_view fix;
  bool needs_person;
};

// Messages of OpenSSH's client (sshconnect.c, sshconnect2.c, authfile.c, clientloop.c, channels.c).
constexpr Rule kSshRules[] = {
    {"REMOTE HOST IDENTIFICATION HAS CHANGED",
     "the host key of {host} is not the one in {known_hosts}: refused",
     "if the bastion was made anew, compare its new key's fingerprint, remove the old one with "
     "`ssh-keygen -R {host_entry} -f {known_hosts}` and add the new one; if not, do not connect: "
     "somebody may be in between",
     true},
    {"key is known for", "the host key of {host} is not known: refused",
     "see it with `ssh-keyscan -p {port} {host} | ssh-keygen -lf -`, compare it with what the "
     "bastion's console shows, and add the line of `ssh-keyscan -p {port} {host}` to "
     "{known_hosts}; or start once with --host-key-checking accept-new, on a network that you "
     "trust",
     true},
    {"Host key verification failed", "the host key of {host} was refused: {line}",
     "look at its line in {known_hosts}", true},
    {"UNPROTECTED PRIVATE KEY FILE", "ssh does not use {key}: others can read it",
     "chmod 600 {key}", true},
    {"not accessible: No such file", "there is no key file {key}",
     "set tunnel.key_file (--bastion-key-file) to the bastion's private key", true},
    {"Load key", "ssh can't use {key}: {line}", "is it the private key, and whole?", true},
    {"Too many authentication failures", "{host} refused every key that ssh offered",
     "name the right one: tunnel.key_file (--bastion-key-file)", true},
    {"Permission denied (", "{host} does not let {user} in: {line}",
     "is the user right (tunnel.user), is the key's public half in its authorized_keys on the "
     "bastion, and the key without a passphrase or in the agent (ssh-add)?",
     true},
    {"Address already in use", "a local port is in use: {line}",
     "end what uses it (`ss -ltnp`), or choose another in tunnel.forwards", true},
    {"Could not resolve hostname", "nobody knows the name {host}: {line}",
     "is tunnel.bastion right, and this machine online?", false},
    {"not responding", "{host} no longer answers", "", false},
    {"closed by remote host", "{host} closed the connection", "", false},
    {"Connection closed by", "{host} closed the connection before it let us in", "", false},
    {"Connection refused", "nobody answers ssh at {host}: {line}",
     "does the bastion run, and sshd on this port (tunnel.port)?", false},
    {"timed out", "{host} does not answer: {line}",
     "does the bastion run, and does its security group let this network in?", false},
    {"No route to host", "{host} can't be reached: {line}", "", false},
    {"Network is unreachable", "{host} can't be reached: {line}", "is this machine online?", false},
};

// Messages of the AWS CLI, its session-manager-plugin and the SSM service.
constexpr Rule kSsmRules[] = {
    {"SessionManagerPlugin is not found", "aws does not find its session-manager-plugin",
     "install it (AWS documentation: Install the Session Manager plugin)", true},
    {"session-manager-plugin: not found", "aws does not find its session-manager-plugin",
     "install it (AWS documentation: Install the Session Manager plugin)", true},
    {"TargetNotConnected", "{target} is not connected to Systems Manager",
     "does it run, with the SSM agent and its instance profile, and in this region "
     "(tunnel.ssm_region)?",
     true},
    {"Unable to locate credentials", "aws has no credentials",
     "log in (`aws configure`, `aws sso login`), or set tunnel.ssm_profile", true},
    {"ExpiredToken", "aws's credentials have expired", "log in again (`aws sso login`)", true},
    {"Token has expired", "aws's credentials have expired", "log in again (`aws sso login`)", true},
    {"AccessDenied", "AWS does not allow the session: {line}",
     "the policy must allow ssm:StartSession on the instance and on the document", true},
    {"config profile", "{line}", "set tunnel.ssm_profile", true},
    {"must specify a region", "aws does not know which region", "set tunnel.ssm_region", true},
    {"address already in use", "a local port is in use: {line}",
     "end what uses it (`ss -ltnp`), or choose another in tunnel.forwards", true},
    {"Could not connect to the endpoint URL", "AWS can't be reached: {line}",
     "is tunnel.ssm_region right, and this machine online?", false},
    {"An error occurred (", "{line}", "", false},
};

using Words = std::vector<std::pair<std::string_view, std::string>>;

std::string filled(std::string_view text, const Words& words) {
  std::string out(text);
  for (const auto& [name, value] : words) {
    const std::string mark = fmt::format("{{{}}}", name);
    for (size_t at = out.find(mark); at != std::string::npos; at = out.find(mark, at)) {
      out.replace(at, mark.size(), value);
      at += value.size();
    }
  }
  return out;
}

std::string_view stripped(std::string_view line) {
  const size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
}

std::string_view line_around(std::string_view text, size_t at) {
  const size_t begin = text.rfind('\n', at) + 1;  // npos + 1: the beginning
  return stripped(text.substr(begin, text.find('\n', at) - begin));
}

std::string_view last_line(std::string_view text) {
  while (!text.empty()) {
    const size_t begin = text.rfind('\n') + 1;
    const std::string_view line = stripped(text.substr(begin));
    if (!line.empty()) return line;
    text = text.substr(0, begin == 0 ? 0 : begin - 1);
  }
  return {};
}

// A word of a command line that people copy.
std::string shell_word(const std::string& word) {
  const bool plain = word.find_first_of(" '\"$&;<>()|*?[]#") == std::string::npos;
  return plain ? word : fmt::format("'{}'", word);
}

// Lines about single channels are about a forward's far side and say nothing about the bastion.
std::string without_channels(std::string_view output) {
  std::string out;
  while (!output.empty()) {
    const size_t end = std::min(output.find('\n'), output.size() - 1) + 1;
    if (!output.starts_with("channel ")) out += output.substr(0, end);
    output.remove_prefix(end);
  }
  return out;
}

// What the bastion sent may be anything: nothing of it may move a terminal's cursor.
std::string printable(std::string_view line) {
  std::string out(line);
  std::replace_if(
      out.begin(), out.end(),
      [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; }, '?');
  return out;
}

Diagnosis diagnose(std::span<const Rule> rules, std::string_view program, std::string_view output,
                   std::string_view ended, Words words) {
  for (const Rule& rule : rules) {
    // The newest one: earlier tries' words do not matter.
    const size_t at = output.rfind(rule.pattern);
    if (at == std::string_view::npos) continue;
    words.emplace_back("line", printable(line_around(output, at)));
    return {filled(rule.what, words), filled(rule.fix, words), rule.needs_person};
  }
  const std::string_view last = last_line(output);
  const std::string said = last.empty() ? "without a word" : ": " + printable(last);
  return {fmt::format("{} ended ({}){}{}", program, ended, last.empty() ? " " : "", said), "",
          false};
}

}  // namespace

Diagnosis diagnose_ssh(std::string_view output, std::string_view ended, const SshOptions& options) {
  const bool usual_port = options.port == 0 || options.port == 22;
  return diagnose(
      kSshRules, "ssh", without_channels(output), ended,
      {{"host", options.host},
       {"host_entry",
        usual_port ? options.host : shell_word(fmt::format("[{}]:{}", options.host, options.port))},
       {"port", std::to_string(usual_port ? 22 : options.port)},
       {"user", options.user.empty() ? "this user" : options.user},
       {"key", options.key_file.empty() ? "the key" : shell_word(options.key_file)},
       {"known_hosts", options.known_hosts_file.empty() ? "~/.ssh/known_hosts"
                                                        : shell_word(options.known_hosts_file)}});
}

Diagnosis diagnose_ssm(std::string_view output, std::string_view ended, const SsmOptions& options) {
  return diagnose(kSsmRules, "aws", output, ended, {{"target", options.target}});
}

Diagnosis program_missing(std::string_view program) {
  const std::string_view fix = program == "ssh"
                                   ? "install OpenSSH's client (Debian: openssh-client)"
                                   : "install the AWS CLI and its session-manager-plugin";
  return {fmt::format("there is no program {} in PATH", program), std::string(fix), true};
}

Diagnosis local_port_refused(uint16_t port, std::string_view reason) {
  return {
      fmt::format("can't listen on 127.0.0.1:{}: {}", port, reason),
      fmt::format("see who does with `ss -ltnp 'sport = :{}'`; end it, or choose another port in "
                  "tunnel.forwards",
                  port),
      true};
}

std::string channel_refusal(std::string_view output) {
  constexpr std::string_view kMark = "open failed: ";
  const size_t at = output.rfind(kMark);
  if (at == std::string_view::npos) return {};
  std::string_view reason = line_around(output, at);
  reason.remove_prefix(reason.find(kMark) + kMark.size());
  return printable(reason);
}

}  // namespace ca4::tunnel
