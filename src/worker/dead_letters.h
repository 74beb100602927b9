// Dead letters: events that can't be stored, kept as they were with the reason, in a log of their
// own ("<topic>.dlq").
//
// A letter has the original record's key and value. Its headers are these six, first and in this
// order, then the original's, and `ca4_version` where an event in JSON came without it:
//   reason            why, for a person
//   stage             "decode", "transform" or "store"; "forward" in the letters of an outbox
//   source_topic, source_partition, source_offset   where the original stands
//   failed_at         RFC 3339
// Being first, they can't be confused with a header of the same name that the original had.
//
// A record that is too large for the dead-letter log is cut (shorten): after the six come
// `original_bytes` and `original_sha256` of its value, and the original's headers are left out.
// Where it stands in the source topic it is whole until the topic's retention ends.
//
// A crash between a letter's append and the commit of the source's offsets makes a second letter of
// the same record. Readers here tell letters by source position and content and give each one once.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "event/value_reader.h"
#include "log/event_log.h"
#include "worker/transform.h"

namespace ca4::worker {

// Progress of replays is this group's position in the dead-letter log: everything before it was
// replayed (or tried: see `replay`).
inline constexpr const char* kReplayGroup = "ca4-dlq-replay";
// The header a replayed record carries: "<source partition>:<source offset>" of its letter.
inline constexpr const char* kReplayedFrom = "replayed_from";

struct DeadLetter {
  // Of the original, in the source topic. Absent in a record that somebody else wrote there.
  std::optional<log::Position> source;
  std::string source_topic;
  std::string stage;
  std::string reason;
  std::string failed_at;
  log::Position position;  // of the letter
  std::string key;
  std::string value;
  log::Headers headers;  // the original's

  // "<partition>:<offset>" of the source; names the letter on the command line. Of the letter
  // itself, prefixed "dlq:", when it has no source.
  std::string name() const;
};

// The letter's record for `failed`, a record of `source_topic`.
log::NewRecord make_dead_letter(const log::Record& failed, const std::string& source_topic,
                                const Failure& failure, int64_t failed_at_us);

// `letter` (of make_dead_letter) with the first kLetterKeyBytesMax of the key and the first
// kLetterValueBytesMax of the value, for a log that refuses the whole: the reason and the place in
// the source are kept, so that nothing goes without a trace.
log::NewRecord shorten(log::NewRecord letter);

// Together, with the headers, below the smallest record that a log can be told to refuse
// (kafka.record_bytes_max: 64 KiB).
inline constexpr size_t kLetterKeyBytesMax = 1U << 10;
inline constexpr size_t kLetterValueBytesMax = 32U << 10;

// What a record of the dead-letter log says. Never fails: what is missing is left empty.
DeadLetter read_dead_letter(log::Record record);

// Whether `selectors` (each a key or a name()) mean this letter.
bool is_selected(const DeadLetter& letter, const std::vector<std::string>& selectors);

// Gives each letter once, in the order of the log. False ends the visit. Keeps some 100 bytes for
// each letter and one batch of values.
using VisitLetter = std::function<bool(DeadLetter&&)>;
Status visit_dead_letters(const log::NextRecords& next, const VisitLetter& visit);

struct ReplayReport {
  size_t replayed = 0;
  std::vector<std::pair<std::string, std::string>> refused;  // name, why: will be refused again
  std::vector<std::string> not_found;                        // selectors that meant no letter
};

// Sends a letter's event on its way again. kInvalidArgument, kTooLarge and kCorruption refuse this
// letter; any other failure means that nothing can be sent now, and ends the replay. `report` is
// right then too. A letter whose value is no event is refused before it gets here: it would come
// back as a dead letter.
using Resend = std::function<Status(const DeadLetter&)>;

// Resends all letters that `next` gives, which it reads from `consumer` (of kReplayGroup), and
// commits there what was sent or refused, so that the next replay begins after it. A crash after a
// resend and before the commit sends again: upserts are idempotent.
Status replay_new(const log::NextRecords& next, log::Consumer& consumer, const Resend& resend,
                  ReplayReport& report);

// What replay_new would do, told by `resend` and `report`, without the commit.
Status replay_dry(const log::NextRecords& next, const Resend& resend, ReplayReport& report);

// Resends the letters that `selectors` mean, replayed before or not. The group's position stays: it
// has no way to say "all but these".
Status replay_chosen(const log::NextRecords& next, const std::vector<std::string>& selectors,
                     const Resend& resend, ReplayReport& report);

// The record that goes back to the source topic: the original's key, value and headers, and
// kReplayedFrom.
log::NewRecord make_replayed(const DeadLetter& letter);

// The letter's event, in whichever form its value has it. The view is valid as long as both
// arguments are and `reader` is not used again. kCorruption when the value is no event.
Result<event::EventView> read_event(const DeadLetter& letter, event::ValueReader& reader);

// The letter's event as the body of POST /metadata, with the compact embedding. kCorruption when
// the value is no event.
Result<std::string> to_request_json(const DeadLetter& letter);

}  // namespace ca4::worker
