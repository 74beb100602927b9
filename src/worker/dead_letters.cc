#include "worker/dead_letters.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <set>
#include <unordered_set>

#include "base/clock.h"
#include "base/digest.h"
#include "event/event.h"
#include "log/wire_values.h"

namespace ca4::worker {

namespace {

constexpr const char* kOwnHeaders[] = {"reason",           "stage",         "source_topic",
                                       "source_partition", "source_offset", "failed_at"};
constexpr size_t kOwnHeadersCount = std::size(kOwnHeaders);

bool has_own_headers(const log::Headers& headers) {
  if (headers.size() < kOwnHeadersCount) return false;
  for (size_t i = 0; i < kOwnHeadersCount; ++i) {
    if (headers[i].first != kOwnHeaders[i]) return false;
  }
  return true;
}

template <class Int>
bool parse_int(const std::string& text, Int& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// The version of an event that says none itself is when its record was appended, and a replay
// appends another: with the header the letter keeps its place in time.
void keep_version(const log::Record& failed, log::Headers& headers) {
  const bool told = log::find_header(failed.headers, event::kVersionHeader) != nullptr;
  if (told || event::decode(failed.value)) return;
  event::ValueReader reader;
  const Result<event::EventView> event =
      reader.read(failed.value, log::origin_of(failed.headers, failed.appended_at_us));
  if (event) headers.emplace_back(event::kVersionHeader, std::to_string(event->version));
}

bool is_refusal(const Status& status) {
  return status.code() == Code::kInvalidArgument || status.code() == Code::kTooLarge ||
         status.code() == Code::kCorruption;
}

}  // namespace

std::string DeadLetter::name() const {
  if (source) return fmt::format("{}:{}", source->partition, source->offset);
  return fmt::format("dlq:{}:{}", position.partition, position.offset);
}

log::NewRecord make_dead_letter(const log::Record& failed, const std::string& source_topic,
                                const Failure& failure, int64_t failed_at_us) {
  log::NewRecord letter;
  letter.key = failed.key;
  letter.value = failed.value;
  const std::string values[kOwnHeadersCount] = {failure.reason,
                                                failure.stage,
                                                source_topic,
                                                std::to_string(failed.position.partition),
                                                std::to_string(failed.position.offset),
                                                format_rfc3339(failed_at_us)};
  for (size_t i = 0; i < kOwnHeadersCount; ++i) {
    letter.headers.emplace_back(kOwnHeaders[i], values[i]);
  }
  letter.headers.insert(letter.headers.end(), failed.headers.begin(), failed.headers.end());
  keep_version(failed, letter.headers);
  return letter;
}

log::NewRecord shorten(log::NewRecord letter) {
  letter.headers.resize(kOwnHeadersCount);
  letter.headers.emplace_back("original_bytes", std::to_string(letter.value.size()));
  letter.headers.emplace_back("original_sha256", sha256_hex(letter.value));
  letter.key.resize(std::min(letter.key.size(), kLetterKeyBytesMax));
  letter.value.resize(std::min(letter.value.size(), kLetterValueBytesMax));
  return letter;
}

DeadLetter read_dead_letter(log::Record record) {
  DeadLetter letter;
  letter.position = record.position;
  letter.key = std::move(record.key);
  letter.value = std::move(record.value);
  letter.headers = std::move(record.headers);
  if (!has_own_headers(letter.headers)) return letter;
  letter.reason = letter.headers[0].second;
  letter.stage = letter.headers[1].second;
  letter.source_topic = letter.headers[2].second;
  letter.failed_at = letter.headers[5].second;
  log::Position source;
  if (parse_int(letter.headers[3].second, source.partition) &&
      parse_int(letter.headers[4].second, source.offset)) {
    letter.source = source;
  }
  letter.headers.erase(letter.headers.begin(),
                       letter.headers.begin() + static_cast<std::ptrdiff_t>(kOwnHeadersCount));
  return letter;
}

bool is_selected(const DeadLetter& letter, const std::vector<std::string>& selectors) {
  const std::string name = letter.name();
  return std::any_of(selectors.begin(), selectors.end(), [&](const std::string& selector) {
    return selector == letter.key || selector == name;
  });
}

namespace {

// Every letter to the end of the log; `first` is false for another letter of the same record.
using Scan = std::function<bool(DeadLetter&&, bool first)>;

Status scan(const log::NextRecords& next, const Scan& visit) {
  constexpr std::hash<std::string> hash;
  std::unordered_set<std::string> seen;
  while (true) {
    Result<std::vector<log::Record>> records = next();
    if (!records) return records.status();
    if (records->empty()) return Status::ok();
    for (log::Record& record : *records) {
      DeadLetter letter = read_dead_letter(std::move(record));
      // With the content: a source log that was made anew gives its offsets out again.
      const bool first =
          seen.insert(fmt::format("{}/{}/{:x}/{:x}", letter.source_topic, letter.name(),
                                  hash(letter.key), hash(letter.value)))
              .second;
      if (!visit(std::move(letter), first)) return Status::ok();
    }
  }
}

// Ok when the letter is done with, sent or refused.
Status resend_one(const DeadLetter& letter, const Resend& resend, ReplayReport& report) {
  event::ValueReader reader;
  const Status unreadable = read_event(letter, reader).status();
  const Status sent = unreadable.is_ok() ? resend(letter) : unreadable;
  if (is_refusal(sent)) {
    report.refused.emplace_back(letter.name(), sent.message());
    return Status::ok();
  }
  if (sent.is_ok()) ++report.replayed;
  return sent;
}

}  // namespace

Status visit_dead_letters(const log::NextRecords& next, const VisitLetter& visit) {
  return scan(next,
              [&](DeadLetter&& letter, bool first) { return !first || visit(std::move(letter)); });
}

Status replay_new(const log::NextRecords& next, log::Consumer& consumer, const Resend& resend,
                  ReplayReport& report) {
  std::map<int32_t, int64_t> handled;
  Status stopped;
  const Status visited = scan(next, [&](const DeadLetter& letter, bool first) {
    if (first) stopped = resend_one(letter, resend, report);
    if (stopped.is_ok()) handled[letter.position.partition] = letter.position.offset + 1;
    return stopped.is_ok();
  });
  if (!handled.empty()) {
    std::vector<log::Position> positions;
    positions.reserve(handled.size());
    for (const auto& [partition, offset] : handled) positions.push_back({partition, offset});
    const Status committed = consumer.commit(positions);
    if (!committed.is_ok()) return committed;
  }
  return stopped.is_ok() ? visited : stopped;
}

Status replay_dry(const log::NextRecords& next, const Resend& resend, ReplayReport& report) {
  Status stopped;
  const Status visited = visit_dead_letters(next, [&](const DeadLetter& letter) {
    stopped = resend_one(letter, resend, report);
    return stopped.is_ok();
  });
  return stopped.is_ok() ? visited : stopped;
}

Status replay_chosen(const log::NextRecords& next, const std::vector<std::string>& selectors,
                     const Resend& resend, ReplayReport& report) {
  std::set<std::string> found;
  Status stopped;
  const Status visited = visit_dead_letters(next, [&](const DeadLetter& letter) {
    if (!is_selected(letter, selectors)) return true;
    std::copy_if(selectors.begin(), selectors.end(), std::inserter(found, found.end()),
                 [&](const std::string& selector) { return is_selected(letter, {selector}); });
    stopped = resend_one(letter, resend, report);
    return stopped.is_ok();
  });
  if (!stopped.is_ok()) return stopped;
  for (const std::string& selector : selectors) {
    if (!found.contains(selector)) report.not_found.push_back(selector);
  }
  return visited;
}

log::NewRecord make_replayed(const DeadLetter& letter) {
  log::NewRecord record{letter.key, letter.value, letter.headers};
  record.headers.emplace_back(kReplayedFrom, letter.name());
  return record;
}

Result<event::EventView> read_event(const DeadLetter& letter, event::ValueReader& reader) {
  return reader.read(letter.value, log::origin_of(letter.headers, 0));
}

Result<std::string> to_request_json(const DeadLetter& letter) {
  event::ValueReader reader;
  const Result<event::EventView> event = read_event(letter, reader);
  if (!event) return event.status();
  // meta_json is a non-empty object (it has the id): the embedding goes before its closing brace.
  if (event->meta_json.size() < 3 || event->meta_json.back() != '}') {
    return Status(Code::kCorruption, "the event's metadata is no JSON object");
  }
  std::string json(event->meta_json.substr(0, event->meta_json.size() - 1));
  json += R"(,"embedding_b64":")" + base64(event->embedding_bytes) + "\"}";
  return json;
}

}  // namespace ca4::worker
