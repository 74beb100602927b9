#include "tunnel/diagnosis.h"

#include <gmock/gmock.h>

namespace ca4::tunnel {
namespace {

using testing::HasSubstr;

SshOptions options() {
  SshOptions made;
  made.host = "bastion.example";
  made.user = "ec2-user";
  made.port = 2222;
  made.key_file = "/keys/id";
  made.known_hosts_file = "/keys/known";
  return made;
}

// The texts are OpenSSH 9.2's.
TEST(DiagnoseSsh, AChangedHostKeyIsNeverAMereRetry) {
  const Diagnosis said = diagnose_ssh(
      "@@@@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@@@\n"
      "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\n"
      "Host key verification failed.\r\n",
      "exit code 255", options());
  EXPECT_EQ(said.what, "the host key of bastion.example is not the one in /keys/known: refused");
  EXPECT_THAT(said.fix, HasSubstr("ssh-keygen -R '[bastion.example]:2222' -f /keys/known"));
  EXPECT_TRUE(said.needs_person);
}

TEST(DiagnoseSsh, AnUnknownHostKeyIsToldApartFromAChangedOne) {
  const Diagnosis said = diagnose_ssh(
      "No ED25519 host key is known for [bastion.example]:2222 and you have requested strict "
      "checking.\r\nHost key verification failed.\r\n",
      "exit code 255", options());
  EXPECT_EQ(said.what, "the host key of bastion.example is not known: refused");
  EXPECT_THAT(said.fix, HasSubstr("ssh-keyscan -p 2222 bastion.example | ssh-keygen -lf -"));
  EXPECT_TRUE(said.needs_person);
}

TEST(DiagnoseSsh, ARefusedKeyNamesTheUserAndQuotesSsh) {
  const Diagnosis said = diagnose_ssh(
      "Warning: Permanently added 'x' (ED25519) to the list of known hosts.\r\n"
      "ec2-user@bastion.example: Permission denied (publickey).\r\n",
      "exit code 255", options());
  EXPECT_EQ(said.what,
            "bastion.example does not let ec2-user in: ec2-user@bastion.example: Permission denied "
            "(publickey).");
  EXPECT_TRUE(said.needs_person);
}

TEST(DiagnoseSsh, TheReasonBehindARefusedKeyComesFirst) {
  const std::string refused = "ec2-user@bastion.example: Permission denied (publickey).\r\n";
  const auto what = [&](const std::string& before) {
    return diagnose_ssh(before + refused, "exit code 255", options()).what;
  };
  EXPECT_EQ(what("Warning: Identity file /keys/id not accessible: No such file or directory.\n"),
            "there is no key file /keys/id");
  EXPECT_EQ(what("@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @\n"),
            "ssh does not use /keys/id: others can read it");
  EXPECT_EQ(what("Load key \"/keys/id\": error in libcrypto\r\n"),
            "ssh can't use /keys/id: Load key \"/keys/id\": error in libcrypto");
}

TEST(DiagnoseSsh, WhatPassesByItselfNeedsNobody) {
  for (const char* output :
       {"ssh: Could not resolve hostname bastion.example: Name or service not known\r\n",
        "ssh: connect to host bastion.example port 2222: Connection refused\r\n",
        "ssh: connect to host bastion.example port 2222: Connection timed out\r\n",
        "ssh: connect to host bastion.example port 2222: No route to host\r\n",
        "Timeout, server bastion.example not responding.\r\n", "Connection closed by 10.0.0.1\r\n",
        ""}) {
    EXPECT_FALSE(diagnose_ssh(output, "exit code 255", options()).needs_person) << output;
  }
}

TEST(DiagnoseSsh, AForwardsRefusalIsNotTakenForTheBastions) {
  EXPECT_EQ(diagnose_ssh("channel 2: open failed: connect failed: Connection refused\r\n"
                         "Connection to bastion.example closed by remote host.\r\n",
                         "exit code 255", options())
                .what,
            "bastion.example closed the connection");
}

TEST(DiagnoseSsh, OtherWordsAreQuotedAndMadeHarmless) {
  EXPECT_EQ(diagnose_ssh("banner\nsomething \x1b[2J odd\r\n\n", "exit code 255", options()).what,
            "ssh ended (exit code 255): something ?[2J odd");
  EXPECT_EQ(diagnose_ssh("", "signal 9 (KILL)", options()).what,
            "ssh ended (signal 9 (KILL)) without a word");
}

TEST(DiagnoseSsm, KnownRefusalsSayWhatToDo) {
  SsmOptions ssm;
  ssm.target = "i-0123456789abcdef0";
  const auto said = diagnose_ssm(
      "\nAn error occurred (TargetNotConnected) when calling the StartSession operation: "
      "i-0123456789abcdef0 is not connected.\n",
      "exit code 254", ssm);
  EXPECT_EQ(said.what, "i-0123456789abcdef0 is not connected to Systems Manager");
  EXPECT_TRUE(said.needs_person);
  EXPECT_THAT(diagnose_ssm("SessionManagerPlugin is not found. Please refer to ...", "", ssm).fix,
              HasSubstr("install it"));
  EXPECT_EQ(diagnose_ssm("\nAn error occurred (ThrottlingException) when calling: slow\n",
                         "exit code 254", ssm)
                .what,
            "An error occurred (ThrottlingException) when calling: slow");
}

TEST(ChannelRefusal, IsTheNewestReasonAlone) {
  EXPECT_EQ(channel_refusal(""), "");
  EXPECT_EQ(channel_refusal("Warning: x\r\nchannel 2: open failed: connect failed: Connection "
                            "refused\r\nchannel 3: open failed: administratively prohibited: open "
                            "failed\r\n"),
            "administratively prohibited: open failed");
}

}  // namespace
}  // namespace ca4::tunnel
