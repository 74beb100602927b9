// `ca4 token`: who may use a processor, or an admin port.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "cli/common.h"
#include "cli/subcommand.h"
#include "http/token_file.h"

namespace ca4::cli {
namespace {

class Token final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    flags_.add(app, {}, {"processor.token_file"});
    app.require_subcommand(1);
    new_ = add_command(app, "new", "make a token, print it, and add its hash to the token file");
    new_->add_option("--name", name_, "whose it is: stands in the file and in logs")
        ->type_name("NAME")
        ->required();
    new_->add_option("--scope", scope_,
                     fmt::format("what it is good for: write (send events), read (page, queries, "
                                 "taps), admin (change a running process) [{}]",
                                 scope_))
        ->type_name("SCOPE[,SCOPE]")
        ->check(CLI::Validator(
            [](const std::string& text) { return http::parse_scopes(text).status().message(); },
            ""));
    new_->add_option("--requests-per-s-max", requests_per_s_max_,
                     "requests a second that it may make, and twice as many at once; more are "
                     "answered 429; 0: no limit [0]")
        ->type_name("N")
        ->check(whole_number(0, http::kRequestsPerSMax));
    list_ = add_command(app, "list", "the names in the token file, and what each is good for");
    app.footer(
        "The token itself is printed once and kept nowhere: give it to who is to use it. A "
        "running\n"
        "processor reads the file again on SIGHUP (systemctl reload ca4-serve). Who is to be kept\n"
        "out again: take the line out of the file.");
  }

  int run() override {
    const Result<config::Settings> settings = flags_.load();
    if (!settings) return report("token", settings.status());
    const std::string& file = settings->processor.token_file;
    if (file.empty()) {
      return report("token", {Code::kUsage,
                              "which file? Give --token-file FILE, or set processor.token_file"});
    }
    return list_->parsed() ? report("token list", list(file)) : report("token new", make(file));
  }

 private:
  Status make(const std::string& file) const {
    const Result<http::Scopes> scopes = http::parse_scopes(scope_);
    if (!scopes) return scopes.status();
    const Result<std::string> token = http::add_token(file, name_, *scopes, requests_per_s_max_);
    if (!token) return token.status();
    // Alone on standard output, so that it can go to where it belongs without being seen.
    fmt::print("{}\n", *token);
    fmt::print(stderr, "{} ({}) is in {}; the line above is shown this once\n", name_,
               http::scopes_text(*scopes), file);
    return Status::ok();
  }

  static Status list(const std::string& file) {
    const Result<std::vector<http::KnownToken>> tokens = http::read_token_file(file);
    if (!tokens) return tokens.status();
    fmt::print("{:24} {:18} {:11} {}\n", "NAME", "SCOPES", "REQUESTS/S", "IN THE FILE");
    for (const http::KnownToken& token : *tokens) {
      const std::string rate =
          token.requests_per_s_max > 0 ? std::to_string(token.requests_per_s_max) : "no limit";
      fmt::print("{:24} {:18} {:11} {}\n", token.name, http::scopes_text(token.scopes), rate,
                 token.plain ? "the token itself" : "its hash");
    }
    return Status::ok();
  }

  SettingsFlags flags_;
  CLI::App* new_ = nullptr;
  CLI::App* list_ = nullptr;
  std::string name_;
  std::string scope_ = "write";
  int64_t requests_per_s_max_ = 0;
};

}  // namespace

std::unique_ptr<Subcommand> make_token() {
  return std::make_unique<Token>();
}

}  // namespace ca4::cli
