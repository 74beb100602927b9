// Where the embedded parts keep their files below the data directory (docs/formats.md).
#pragma once

#include <string>

#include "config/settings.h"

namespace ca4::cli {

inline std::string log_dir(const config::Settings& settings) {
  return settings.data_dir + "/log";
}
inline std::string store_dir(const config::Settings& settings) {
  return settings.data_dir + "/store";
}
// In store_dir. Both names were checked to fit a file name.
inline std::string store_file_name(const config::Settings& settings) {
  return settings.store.database + "." + settings.store.collection + ".db";
}
inline std::string archive_dir(const config::Settings& settings) {
  return settings.data_dir + "/archive";
}
// The outbox stands in front of Kafka; without Kafka the log itself is the disk.
inline bool uses_outbox(const config::Settings& settings) {
  return !settings.kafka.bootstrap.empty() && settings.kafka.outbox;
}
// Where events wait while Kafka is away.
inline std::string outbox_file(const config::Settings& settings) {
  const std::string& named = settings.kafka.outbox_file;
  return named.empty() ? settings.data_dir + "/outbox/" + settings.log.topic + ".db" : named;
}
// The letters of events that Kafka refused when they came from there.
inline std::string outbox_letters_file(const config::Settings& settings) {
  return outbox_file(settings) + "-refused";
}
// How far versions were given: beside the outbox, whose processor is the only one that writes
// there.
inline std::string version_mark_file(const config::Settings& settings) {
  return outbox_file(settings) + "-version";
}
// The token that is made for a tunnel's URL where no file of tokens is named.
inline std::string tunnel_token_file(const config::Settings& settings) {
  return settings.data_dir + "/tunnel-token";
}
// Which processor is behind a tunnel's URL.
inline std::string processor_id_file(const config::Settings& settings) {
  return settings.data_dir + "/processor-id";
}
// The wire contract's.
inline std::string dead_letter_topic(const config::Settings& settings) {
  return settings.log.topic + ".dlq";
}

}  // namespace ca4::cli
