// The programs that carry a tunnel, and their command lines.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/forwards.h"

namespace ca4::tunnel {

// OpenSSH's client to a bastion: one process for all forwards.
struct SshOptions {
  std::string host;
  std::string user;      // empty: as ssh's configuration says, as for the three below
  uint16_t port = 0;     // 0
  std::string key_file;  // when given, no other key is tried
  std::string known_hosts_file;
  std::string host_key_checking = "yes";  // ssh's StrictHostKeyChecking: "yes" or "accept-new"
  int64_t connect_timeout_s = 10;
  int64_t keepalive_interval_s = 5;
};

// AWS Systems Manager's port forwarding to a remote host: one process a forward. Needs the AWS CLI
// and its session-manager-plugin.
struct SsmOptions {
  std::string target;  // the instance that the connections come out of
  std::string region;  // empty: as the AWS configuration says
  std::string profile;
};

// Never asks anybody anything, shares no connection with another ssh, ends when a forward can't be
// opened here or when the bastion no longer answers, and listens on 127.0.0.1 only.
std::vector<std::string> ssh_command(const SshOptions& options,
                                     const std::vector<config::Forward>& forwards);

// Parameters as the SSM document AWS-StartPortForwardingSessionToRemoteHost takes them.
std::vector<std::string> ssm_command(const SsmOptions& options, const config::Forward& forward);

}  // namespace ca4::tunnel
