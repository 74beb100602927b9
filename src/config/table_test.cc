#include "config/table.h"

#include <gtest/gtest.h>

#include <cctype>
#include <set>

#include "config/value.h"

namespace ca4::config {
namespace {

std::string upper(std::string text) {
  for (char& c : text) c = c == '.' ? '_' : static_cast<char>(std::toupper(c));
  return text;
}

const Setting& row(std::string_view name) {
  for (const Setting& setting : table()) {
    if (setting.name() == name) return setting;
  }
  ADD_FAILURE() << "no setting " << name;
  return table()[0];
}

TEST(Table, EveryDefaultIsWithinItsOwnLimits) {
  for (const Setting& setting : table()) {
    Settings settings;
    const std::string text = value_text(setting, settings);
    EXPECT_EQ(set_text(setting, text, settings).to_string(), "ok") << setting.name();
    EXPECT_EQ(value_text(setting, settings), text) << setting.name();
  }
}

TEST(Table, NamesAndVariablesAreUnique) {
  std::set<std::string> seen;
  for (const Setting& setting : table()) {
    EXPECT_TRUE(seen.insert(setting.name()).second) << setting.name();
    EXPECT_TRUE(seen.insert(std::string(setting.env)).second) << setting.env;
  }
}

TEST(Table, VariablesAreTheContractsOrFollowTheKey) {
  const std::set<std::string_view> contract = {"KAFKA_BOOTSTRAP",   "KAFKA_TOPIC",
                                               "KAFKA_OUTBOX_FILE", "MONGO_URI",
                                               "MONGO_DB",          "MONGO_COLLECTION"};
  size_t of_contract = 0;
  for (const Setting& setting : table()) {
    of_contract += contract.count(setting.env);
    if (contract.count(setting.env) == 0) {
      EXPECT_EQ(setting.env, "CA4_" + upper(setting.name()));
    }
  }
  EXPECT_EQ(of_contract, contract.size());
}

// `up` takes all sections but the producer's; `produce` the producer's, the admin port's and the
// general ones.
TEST(Table, FlagsDoNotClashWithinACommand) {
  std::set<std::string_view> up;
  std::set<std::string_view> produce;
  for (const Setting& setting : table()) {
    if (setting.flag.empty()) continue;
    const bool everywhere = setting.section == Section::kGeneral ||
                            setting.section == Section::kAdmin ||
                            setting.section == Section::kLogging;
    const bool producers = setting.section == Section::kProducer;
    if (!producers) {
      EXPECT_TRUE(up.insert(setting.flag).second) << setting.flag;
    }
    if (producers || everywhere) {
      EXPECT_TRUE(produce.insert(setting.flag).second) << setting.flag;
    }
  }
}

TEST(Table, EveryNumberNamesItsUnitInTheKey) {
  for (const Setting& setting : table()) {
    const auto* number = std::get_if<WholeNumber>(&setting.type);
    if (number == nullptr) continue;
    const std::string_view key = setting.key;
    if (number->unit == "ms") {
      EXPECT_NE(key.find("_ms"), key.npos) << key;
    }
    if (number->unit == "s") {
      EXPECT_TRUE(key.ends_with("_s") || key.ends_with("_s_max")) << key;
    }
    if (number->unit == "bytes") {
      EXPECT_NE(key.find("bytes"), key.npos) << key;
    }
  }
}

TEST(Value, BothEndsOfARangeAreIn) {
  for (const Setting& setting : table()) {
    const auto* number = std::get_if<WholeNumber>(&setting.type);
    if (number == nullptr) continue;
    Settings settings;
    EXPECT_TRUE(set_whole_number(setting, number->min, settings).is_ok()) << setting.name();
    EXPECT_TRUE(set_whole_number(setting, number->max, settings).is_ok()) << setting.name();
    EXPECT_FALSE(set_whole_number(setting, number->min - 1, settings).is_ok()) << setting.name();
    EXPECT_FALSE(set_whole_number(setting, number->max + 1, settings).is_ok()) << setting.name();
    EXPECT_EQ(number->field(settings), number->max) << "a refused value must change nothing";
  }
}

TEST(Value, RefusalsSayWhatIsExpectedAndWhatWasGot) {
  Settings settings;
  const auto message = [&](std::string_view name, std::string_view text) {
    return set_text(row(name), text, settings).message();
  };
  EXPECT_EQ(message("processor.body_bytes_max", "16MiB"),
            "must be a whole number of bytes, not '16MiB'");
  EXPECT_EQ(message("processor.threads", "99999999999999999999"),
            "must be 0 to 256 threads, not 99999999999999999999");
  EXPECT_EQ(message("processor.threads", ""), "must be a whole number of threads, not ''");
  EXPECT_EQ(message("archive.enabled", "yes"), "must be true or false, not 'yes'");
  EXPECT_EQ(message("logging.format", "xml"), "must be one of text, json, not 'xml'");
  EXPECT_EQ(message("log.topic", "a/b"), "expected 1 to 249 of A-Z a-z 0-9 . _ -; got 'a/b'");
  EXPECT_EQ(message("log.topic", ".."), "expected 1 to 249 of A-Z a-z 0-9 . _ -; got '..'");
  EXPECT_EQ(message("producer.endpoint", "localhost:8000"),
            "expected http://HOST:PORT or https://HOST:PORT; got 'localhost:8000'");
  EXPECT_EQ(message("data_dir", ""), "must not be empty");
  EXPECT_EQ(message("data_dir", std::string_view("a\0b", 3)), "must not contain a zero byte");
}

TEST(Value, PasswordsAreMasked) {
  EXPECT_EQ(mask_secrets("mongodb://ann:s3cret@db:27017/ca4"), "mongodb://ann:****@db:27017/ca4");
  EXPECT_EQ(mask_secrets("mongodb://ann:s3/c@r:et@db/ca4"), "mongodb://ann:****@db/ca4");
  EXPECT_EQ(mask_secrets("mongodb://db/?tlsCertificateKeyFilePassword=pw&tls=true"),
            "mongodb://db/?tlsCertificateKeyFilePassword=****&tls=true");
  EXPECT_EQ(mask_secrets("mongodb://db/?authMechanismProperties=AWS_SESSION_TOKEN:abc"),
            "mongodb://db/?authMechanismProperties=****");
  EXPECT_EQ(mask_secrets("http://127.0.0.1:8000"), "http://127.0.0.1:8000");
  EXPECT_EQ(mask_secrets("mongodb://ann@db"), "mongodb://ann@db");
}

TEST(Value, QuotedTextSurvivesTomlAndJson) {
  EXPECT_EQ(quoted("a\"b\\c\n\x7f\xc3\xa9"), "\"a\\\"b\\\\c\\u000A\\u007F\xc3\xa9\"");
}

}  // namespace
}  // namespace ca4::config
