#include "tunnel/tunnel.h"

#include <fmt/format.h>

namespace ca4::tunnel {
namespace {

std::vector<LinkSpec> link_specs(const TunnelOptions& options) {
  std::vector<LinkSpec> specs;
  if (options.ssh) {
    LinkSpec& all = specs.emplace_back();
    all.argv = ssh_command(*options.ssh, options.forwards);
    all.forwards = options.forwards;
    for (size_t i = 0; i < options.forwards.size(); ++i) all.forward_numbers.push_back(i);
    all.diagnose = [ssh = *options.ssh](std::string_view output, std::string_view ended) {
      return diagnose_ssh(output, ended, ssh);
    };
    return specs;
  }
  for (size_t i = 0; i < options.forwards.size(); ++i) {
    LinkSpec& one = specs.emplace_back();
    one.number = i;
    one.argv = ssm_command(*options.ssm, options.forwards[i]);
    one.forwards = {options.forwards[i]};
    one.forward_numbers = {i};
    one.diagnose = [ssm = *options.ssm](std::string_view output, std::string_view ended) {
      return diagnose_ssm(output, ended, ssm);
    };
  }
  return specs;
}

std::unique_ptr<Board> make_board(const TunnelOptions& options, const std::vector<LinkSpec>& specs,
                                  const Clock& clock, std::function<void(const View&)> changed) {
  std::vector<std::string> names;
  std::vector<std::pair<config::Forward, size_t>> forwards;
  for (const LinkSpec& spec : specs) {
    names.push_back(options.ssh ? "ssh to " + options.ssh->host
                                : fmt::format("ssm to {} for {}", options.ssm->target,
                                              spec.forwards[0].target()));
    for (const config::Forward& forward : spec.forwards)
      forwards.emplace_back(forward, spec.number);
  }
  return std::make_unique<Board>(clock, std::move(names), forwards, std::move(changed));
}

}  // namespace

Tunnel::Tunnel(const TunnelOptions& options, const Clock& clock,
               std::function<void(const View&)> changed) {
  std::vector<LinkSpec> specs = link_specs(options);
  board_ = make_board(options, specs, clock, std::move(changed));
  board_->refresh();
  for (LinkSpec& spec : specs) start_link(std::move(spec), options.limits);
}

Tunnel::~Tunnel() {
  stop();
}

void Tunnel::start_link(LinkSpec spec, const LinkLimits& limits) {
  Link& link = *links_.emplace_back(std::make_unique<Link>(std::move(spec), limits, *board_));
  threads_.emplace_back([this, &link] {
    const std::optional<Diagnosis> problem = link.run();
    const std::lock_guard lock(mutex_);
    if (problem && !gave_up_) gave_up_ = problem;
  });
}

std::optional<Diagnosis> Tunnel::gave_up() {
  const std::lock_guard lock(mutex_);
  return gave_up_;
}

void Tunnel::stop() {
  for (const auto& link : links_) link->stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::string broker_map(const std::vector<config::Forward>& forwards) {
  std::string map;
  for (const config::Forward& forward : forwards) {
    if (forward.probe != config::Probe::kKafka) continue;
    if (!map.empty()) map += ',';
    map += fmt::format("{}=127.0.0.1:{}", forward.target(), forward.local_port);
  }
  return map;
}

}  // namespace ca4::tunnel
