// Credentials from the first of several sources that has some, kept until they are about to expire.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "aws/credentials.h"
#include "aws/environment.h"
#include "aws/http.h"
#include "base/clock.h"

namespace ca4::aws {

struct Source {
  std::string name;  // in messages: "environment"
  // See sources.h: kNotFound goes on to the next source, any other failure is the chain's.
  std::function<Result<Credentials>()> fetch;
};

// Thread-safe; one thread at a time asks the sources, the others go on with what still holds.
class Chain final : public CredentialsProvider {
 public:
  // `clock` must outlive the chain.
  Chain(std::vector<Source> sources, const Clock& clock);

  // What expires is asked for anew some minutes before; when that fails, what there is serves to
  // its end.
  Result<Credentials> get() override;
  void refused() override;

 private:
  bool usable_locked() const;
  bool fresh_locked() const;
  Result<Credentials> fetch();

  const std::vector<Source> sources_;
  const Clock& clock_;
  std::mutex refresh_mutex_;  // held by who asks the sources; taken before mutex_
  std::mutex mutex_;
  Credentials current_;          // guarded by mutex_; no key: none yet
  bool refused_ = false;         // guarded by mutex_
  int64_t try_again_at_us_ = 0;  // guarded by mutex_: after a renewal that failed
};

// The places where AWS's own tools look, in their order: environment, web identity, profile,
// container, instance. With `profile` given, in that profile alone. `http` and `clock` must outlive
// the result.
std::unique_ptr<CredentialsProvider> default_credentials(const Environment& env,
                                                         const std::string& profile, Http& http,
                                                         const Clock& clock);

}  // namespace ca4::aws
