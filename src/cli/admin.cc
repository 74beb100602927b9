#include "cli/admin.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <utility>

#include "config/address.h"

namespace ca4::cli {

std::string admin_dir(const config::Settings& settings) {
  return settings.data_dir + "/admin";
}

std::string admin_url(std::string address) {
  while (address.ends_with('/')) address.pop_back();
  return address.find("://") == std::string::npos ? "http://" + address : address;
}

CLI::Validator admin_address() {
  return {[](const std::string& text) -> std::string {
            const size_t colon = text.find("://");
            const std::string scheme = colon == std::string::npos ? "http" : text.substr(0, colon);
            const size_t host = colon == std::string::npos ? 0 : colon + 3;
            const bool has_host = text.find_first_not_of('/', host) != std::string::npos;
            if (has_host && (scheme == "http" || scheme == "https")) return {};
            return fmt::format(
                "expected HOST:PORT, http://HOST:PORT or https://HOST:PORT, not '{}'", text);
          },
          ""};
}

Result<std::unique_ptr<admin::AdminPort>> open_admin(const config::Settings& settings,
                                                     const std::string& command,
                                                     admin::AdminAnswers answers,
                                                     const std::string& folder) {
  if (settings.admin.listen == "none") return std::unique_ptr<admin::AdminPort>();
  const Result<config::Address> address = config::parse_address(settings.admin.listen);
  if (!address) return address.status();
  admin::AdminOptions options;
  options.host = address->host;
  options.port = address->port;
  options.token_file = settings.admin.token_file;
  options.folder = folder;
  options.name = command;
  options.version = CA4_VERSION;
  Result<std::unique_ptr<admin::AdminPort>> port =
      admin::AdminPort::start(options, std::move(answers));
  if (port) spdlog::info("admin port at {}", (*port)->url());
  return port;
}

}  // namespace ca4::cli
