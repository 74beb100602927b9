#include "base/pem.h"

#include <gmock/gmock.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdio>
#include <fstream>

#include "base/test_dir.h"

namespace ca4 {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Pem : public testing::Test {
 protected:
  // A file with a certificate of its own, or a key, or both.
  std::string file_with(bool certificate, bool key, const char* passphrase = nullptr) const {
    const std::string path = dir_ / "made.pem";
    EVP_PKEY* const pair = EVP_EC_gen("P-256");
    X509* const made = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(made), 0);
    X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    X509_set_pubkey(made, pair);
    X509_sign(made, pair, EVP_sha256());
    std::FILE* const file = std::fopen(path.c_str(), "w");
    // Behind other text, as bundles have it.
    std::fputs("# subject: nobody\n", file);
    if (certificate) PEM_write_X509(file, made);
    if (key) {
      PEM_write_PrivateKey(file, pair, passphrase == nullptr ? nullptr : EVP_aes_128_cbc(), nullptr,
                           0, nullptr, const_cast<char*>(passphrase));
    }
    std::fclose(file);
    X509_free(made);
    EVP_PKEY_free(pair);
    return path;
  }

  std::string text_file(const char* text) const {
    const std::string path = dir_ / "text.pem";
    std::ofstream(path) << text;
    return path;
  }

  const TempDir dir_;
};

TEST_F(Pem, TakesAFileThatHoldsWhatItShould) {
  EXPECT_TRUE(check_certificate_file(file_with(true, false)).is_ok());
  EXPECT_TRUE(check_certificate_file(file_with(true, true)).is_ok());
  EXPECT_TRUE(check_private_key_file(file_with(true, true)).is_ok());
}

TEST_F(Pem, SaysWhichFileAndWhatIsWrongWithIt) {
  const auto expect = [](const Status& status, const std::string& path, const char* why) {
    EXPECT_EQ(status.code(), Code::kConfig);
    EXPECT_THAT(status.message(), AllOf(HasSubstr(path), HasSubstr(why)));
  };
  expect(check_certificate_file(dir_ / "none"), dir_ / "none", "No such file");
  expect(check_certificate_file(dir_.path()), dir_.path(), "directory");
  expect(check_certificate_file(text_file("")), dir_ / "text.pem", "no certificate");
  expect(check_certificate_file(text_file("-----BEGIN CERTIFICATE-----\nbm8=\n")),
         dir_ / "text.pem", "no certificate");
  expect(check_certificate_file(file_with(false, true)), dir_ / "made.pem", "no certificate");
  expect(check_private_key_file(file_with(true, false)), dir_ / "made.pem", "no private");
  expect(check_private_key_file(file_with(true, true, "secret")), dir_ / "made.pem",
         "without a passphrase");
}

}  // namespace
}  // namespace ca4
