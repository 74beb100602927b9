#include "aws/chain.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "aws/profile_file.h"
#include "aws/sources.h"

namespace ca4::aws {
namespace {

// AWS has new keys of a role at least five minutes before the old ones end.
constexpr int64_t kRenewBeforeUs = 300'000'000;
// A clock a little off, and a request's own time.
constexpr int64_t kMarginUs = 15'000'000;
// Who does not renew is asked again, but not with every request.
constexpr int64_t kPauseUs = 30'000'000;

}  // namespace

Chain::Chain(std::vector<Source> sources, const Clock& clock)
    : sources_(std::move(sources)), clock_(clock) {}

bool Chain::usable_locked() const {
  return !current_.access_key_id.empty() && !refused_ &&
         (!current_.expires_at_us || clock_.now_us() < *current_.expires_at_us - kMarginUs);
}

bool Chain::fresh_locked() const {
  if (!usable_locked()) return false;
  const int64_t now_us = clock_.now_us();
  return !current_.expires_at_us || now_us < *current_.expires_at_us - kRenewBeforeUs ||
         now_us < try_again_at_us_;
}

Result<Credentials> Chain::get() {
  std::optional<Credentials> usable;
  {
    const std::lock_guard lock(mutex_);
    if (fresh_locked()) return current_;
    if (usable_locked()) usable = current_;
  }
  std::unique_lock refresh(refresh_mutex_, std::try_to_lock);
  if (!refresh.owns_lock() && usable) return *usable;
  if (!refresh.owns_lock()) refresh.lock();
  {
    const std::lock_guard lock(mutex_);
    if (fresh_locked()) return current_;  // somebody else was here
  }
  Result<Credentials> fetched = fetch();
  const std::lock_guard lock(mutex_);
  try_again_at_us_ = clock_.now_us() + kPauseUs;
  if (fetched) {
    current_ = *fetched;
    refused_ = false;
  } else if (usable_locked()) {
    spdlog::warn("AWS credentials of {} are not renewed yet, they hold until {}: {}",
                 current_.source, format_rfc3339(*current_.expires_at_us),
                 fetched.status().message());
    return current_;
  }
  return fetched;
}

void Chain::refused() {
  const std::lock_guard lock(mutex_);
  refused_ = true;
}

Result<Credentials> Chain::fetch() {
  std::string looked;
  for (const Source& source : sources_) {
    Result<Credentials> credentials = source.fetch();
    if (credentials) return credentials;
    const Status why = credentials.status();
    if (why.code() != Code::kNotFound) {
      return Status(why.code(),
                    fmt::format("AWS credentials ({}): {}", source.name, why.message()));
    }
    fmt::format_to(std::back_inserter(looked), "{}{}: {}", looked.empty() ? "" : "; ", source.name,
                   why.message());
  }
  return Status(Code::kConfig, "no AWS credentials. " + looked);
}

std::unique_ptr<CredentialsProvider> default_credentials(const Environment& env,
                                                         const std::string& profile, Http& http,
                                                         const Clock& clock) {
  const Source from_file{"profile", [env, profile, &http] {
                           return from_profile(env, profile_name(env, profile), http);
                         }};
  std::vector<Source> sources;
  if (profile.empty()) {
    sources = {{"environment", [env] { return from_environment(env); }},
               {"web identity", [env, &http] { return from_web_identity(env, http); }},
               from_file,
               {"container", [env, &http] { return from_container(env, http); }},
               {"instance", [env, &http] { return from_instance(env, http); }}};
  } else {
    sources = {from_file};
  }
  return std::make_unique<Chain>(std::move(sources), clock);
}

}  // namespace ca4::aws
