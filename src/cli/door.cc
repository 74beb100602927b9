#include "cli/door.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "base/io_error.h"
#include "base/replace_file.h"
#include "cli/common.h"
#include "cli/data_layout.h"
#include "config/address.h"
#include "door/door.h"
#include "event/event.h"
#include "http/token_file.h"

namespace ca4::cli {
namespace {

door::DoorOptions options_of(const config::Processor& from) {
  door::DoorOptions out;
  out.kind = from.tunnel == "ngrok" ? door::Kind::kNgrok : door::Kind::kCloudflared;
  out.command = from.tunnel_command;
  out.domain = from.tunnel_domain;
  return out;
}

// As it is, not its hash: here it is also read by who gives it to others, `ca4 up` itself and the
// checks of this machine. Whole or not at all: an empty file, of a disk that is full or an end in
// the middle, would keep every later start from its tokens.
Status make_token_once(const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error)) return Status::ok();
  const Result<std::string> token = http::make_token();
  if (!token) return token.status();
  if (Status bad = replace_file(path, *token + "\n"); !bad.is_ok()) return bad;
  // Before logging is set up, and to be seen at every level of it.
  fmt::print(stderr, "a token was made for the tunnel: {}\n", path);
  return Status::ok();
}

Status make_id_once(const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error)) return Status::ok();
  return replace_file(path, event::make_uuid_v7() + "\n");
}

// A server that listens everywhere is reached over loopback.
std::string agent_url(const std::string& local_url) {
  for (const std::string_view any : {"//0.0.0.0:", "//[::]:"}) {
    const size_t at = local_url.find(any);
    if (at == std::string::npos) continue;
    return local_url.substr(0, at) + "//127.0.0.1:" + local_url.substr(at + any.size());
  }
  return local_url;
}

// The token itself only where a person reads, not into logs.
void announce(const std::string& url, const std::string& token_file) {
  std::string token;
  if (isatty(STDOUT_FILENO) != 0) {
    if (Result<std::string> read = read_token(token_file)) token = std::move(*read);
  }
  fmt::print("public at {}\nIn a notebook:\n\n{}\n", url, notebook_cell(url, token, token_file));
  std::fflush(stdout);
}

}  // namespace

Status prepare_door(config::Settings& settings) {
  config::Processor& processor = settings.processor;
  if (processor.tunnel == "none") return Status::ok();
  if (Status missing = door::check_agent(options_of(processor)); !missing.is_ok()) return missing;
  std::error_code error;
  std::filesystem::create_directories(settings.data_dir, error);
  if (error) return io_error(settings.data_dir, error.value());
  if (processor.token_file.empty()) {
    processor.token_file = tunnel_token_file(settings);
    if (Status bad = make_token_once(processor.token_file); !bad.is_ok()) return bad;
  }
  return make_id_once(processor_id_file(settings));
}

std::string processor_id(const config::Settings& settings) {
  if (settings.processor.tunnel == "none") return "";
  std::ifstream file(processor_id_file(settings));
  std::string id;
  std::getline(file, id);
  return id;
}

Result<std::unique_ptr<door::Door>> open_door(const config::Settings& settings,
                                              const std::string& local_url) {
  if (settings.processor.tunnel == "none") {
    const std::string& domain = settings.processor.tunnel_domain;
    // No mistake in a file that is used with and without the tunnel.
    if (!domain.empty()) {
      spdlog::info("{} is not made public: that takes --tunnel ngrok (processor.tunnel)", domain);
    }
    return std::unique_ptr<door::Door>();
  }
  door::DoorOptions options = options_of(settings.processor);
  options.local_url = agent_url(local_url);
  const std::string& token_file = settings.processor.token_file;
  return door::Door::start(
      options, {.opened = [token_file](const std::string& url) { announce(url, token_file); },
                .trouble = [](const std::string& why) { spdlog::warn("tunnel: {}", why); }});
}

std::string notebook_cell(const std::string& url, const std::string& token,
                          const std::string& token_file) {
  const std::string secret =
      token.empty()
          ? fmt::format("__import__(\"getpass\").getpass(\"token: \")  # in {}", token_file)
          : fmt::format("\"{}\"", token);
  return fmt::format(
      "    # The wheel of `make wheel`, uploaded beside the notebook; without a GPU: onnxruntime\n"
      "    %pip install --quiet ./ca4_producer-*.whl \"onnxruntime-gpu[cuda,cudnn]\"\n"
      "    ENDPOINT = \"{}\"\n"
      "    TOKEN = {}\n"
      "    import ca4\n"
      "    print(ca4.Producer(endpoint=ENDPOINT, token=TOKEN, "
      "model=\"model.onnx\").run(\"images/\"))\n",
      url, secret);
}

}  // namespace ca4::cli
