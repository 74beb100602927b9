// What ssh's or aws's last words mean, and what a person can do.
#pragma once

#include <string>
#include <string_view>

#include "tunnel/command.h"

namespace ca4::tunnel {

struct Diagnosis {
  std::string what;  // one line
  std::string fix;   // may be empty: then waiting is all there is
  // Trying again changes nothing until somebody acts.
  bool needs_person = false;
};

// `output` is what the program wrote, `ended` how it ended ("exit code 255").
Diagnosis diagnose_ssh(std::string_view output, std::string_view ended, const SshOptions& options);
Diagnosis diagnose_ssm(std::string_view output, std::string_view ended, const SsmOptions& options);

Diagnosis program_missing(std::string_view program);
Diagnosis local_port_refused(uint16_t port, std::string_view reason);

// Why the bastion could not reach a forward's target: ssh's newest line "channel N: open failed:
// REASON" in `output`, without what comes before REASON; empty when there is none.
std::string channel_refusal(std::string_view output);

}  // namespace ca4::tunnel
