#include "base/pem.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace ca4 {
namespace {

using File = std::unique_ptr<std::FILE, decltype(&std::fclose)>;

Status bad(const std::string& path, const std::string& why) {
  return {Code::kConfig, fmt::format("{}: {}", path, why)};
}

Result<File> open_file(const std::string& path) {
  File file(std::fopen(path.c_str(), "re"), std::fclose);
  if (file == nullptr) return bad(path, std::strerror(errno));  // NOLINT(concurrency-mt-unsafe)
  struct stat found{};
  if (fstat(fileno(file.get()), &found) == 0 && S_ISDIR(found.st_mode)) {
    return bad(path, "a directory, not a file");
  }
  return file;
}

// A passphrase is asked for at nobody's terminal.
int no_passphrase(char*, int, int, void*) {
  return 0;
}

}  // namespace

Status check_certificate_file(const std::string& path) {
  const Result<File> file = open_file(path);
  if (!file) return file.status();
  X509* const certificate = PEM_read_X509_AUX(file->get(), nullptr, no_passphrase, nullptr);
  ERR_clear_error();
  if (certificate == nullptr) {
    return bad(path, "no certificate in it (expected PEM: -----BEGIN CERTIFICATE-----)");
  }
  X509_free(certificate);
  return Status::ok();
}

Status check_private_key_file(const std::string& path) {
  const Result<File> file = open_file(path);
  if (!file) return file.status();
  EVP_PKEY* const key = PEM_read_PrivateKey(file->get(), nullptr, no_passphrase, nullptr);
  ERR_clear_error();
  if (key == nullptr) {
    return bad(path, "no private key in it that can be read without a passphrase");
  }
  EVP_PKEY_free(key);
  return Status::ok();
}

}  // namespace ca4
