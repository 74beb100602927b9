// The admin port of a command that runs for long.
#pragma once

#include <memory>
#include <string>

#include "admin/admin_port.h"
#include "config/settings.h"

namespace CLI {
class Validator;
}  // namespace CLI

namespace ca4::cli {

// Where processes on `settings.data_dir` leave the addresses of their admin ports.
std::string admin_dir(const config::Settings& settings);

// "http://HOST:PORT" of an admin port's address as people give it: HOST:PORT or a URL.
std::string admin_url(std::string address);

// Refuses what is no such address: a usage error (exit code 2).
CLI::Validator admin_address();

// The port that the settings ask for; null where they ask for none. What `answers` uses must
// outlive it. `command` is "serve", "work", ... Its address is left in `folder`; empty: nowhere.
Result<std::unique_ptr<admin::AdminPort>> open_admin(const config::Settings& settings,
                                                     const std::string& command,
                                                     admin::AdminAnswers answers,
                                                     const std::string& folder);

}  // namespace ca4::cli
