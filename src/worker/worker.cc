#include "worker/worker.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <utility>

#include "worker/dead_letters.h"

namespace ca4::worker {

struct Worker::Letter {
  log::Position failed;
  log::NewRecord record;
  std::string stage;
  std::string cause;
};

// A batch on its way. `pending[i]` was made of `records[origins[i]]`.
struct Worker::Work {
  std::span<const log::Record> records;
  std::vector<store::Document> pending;
  std::vector<size_t> origins;
  std::vector<Letter> letters;

  void refuse(const log::Record& record, const std::string& topic, const Failure& failure,
              int64_t now_us) {
    letters.push_back({record.position, make_dead_letter(record, topic, failure, now_us),
                       failure.stage, failure.cause});
  }
};

Worker::Worker(log::EventLog& source, store::DocumentStore& store, log::EventLog& dead_letters,
               const Clock& clock, prometheus::Registry& registry, WorkerOptions options)
    : source_(source),
      store_(store),
      dead_letters_(dead_letters),
      clock_(clock),
      options_(options),
      loop_metrics_(registry, kWorkerGroup),
      document_metrics_(registry),
      loop_(source,
            {.group = kWorkerGroup,
             .records_max = options.batch_records_max,
             .bytes_max = options.batch_bytes_max,
             .poll_wait_ms_max = options.poll_wait_ms_max,
             .backoff = options.backoff},
            loop_metrics_) {}

void Worker::run() {
  loop_.run([this](std::span<const log::Record> batch) { return handle(batch); });
}

void Worker::stop() {
  loop_.stop();
}

bool Worker::handle(std::span<const log::Record> batch) {
  Work work;
  work.records = batch;
  const int64_t now_us = clock_.now_us();
  for (size_t i = 0; i < batch.size(); ++i) {
    store::Document document;
    Failure failure;
    if (to_document(batch[i], source_.topic(), now_us, document, failure)) {
      work.pending.push_back(std::move(document));
      work.origins.push_back(i);
    } else {
      work.refuse(batch[i], source_.topic(), failure, now_us);
    }
  }
  return store_documents(work) && append_letters(work);
}

bool Worker::store_documents(Work& work) {
  if (work.pending.empty()) return true;
  return loop_.retry("store", [&] { return upsert_once(work); });
}

Status Worker::upsert_once(Work& work) {
  Result<std::vector<store::UpsertResult>> results = store_.upsert(work.pending);
  if (results) return settle(work, *results);
  // A batch that is wrong in itself: find the document that is, so that its neighbours get in.
  const Code code = results.status().code();
  if (code == Code::kInvalidArgument || code == Code::kTooLarge) return upsert_each(work);
  return results.status();
}

Status Worker::upsert_each(Work& work) {
  std::vector<store::UpsertResult> results;
  Status away;  // once the store is, the rest need not be tried
  for (const store::Document& document : work.pending) {
    if (!away.is_ok()) {
      results.push_back({store::Outcome::kRetry, away.message()});
      continue;
    }
    Result<std::vector<store::UpsertResult>> alone = store_.upsert({&document, 1});
    const Status status = alone.status();
    if (alone && alone->size() == 1) {
      results.push_back(alone->front());
    } else if (status.code() == Code::kInvalidArgument || status.code() == Code::kTooLarge) {
      results.push_back({store::Outcome::kDeadLetter, status.message()});
    } else {
      away = alone ? Status(Code::kInternal, "the store gave no result") : status;
      results.push_back({store::Outcome::kRetry, away.message()});
    }
  }
  return settle(work, results);
}

Status Worker::settle(Work& work, std::span<const store::UpsertResult> results) {
  if (results.size() != work.pending.size()) {
    return {Code::kInternal, "the store gave another number of results than documents"};
  }
  const int64_t now_us = clock_.now_us();
  std::vector<store::Document> again;
  std::vector<size_t> again_origins;
  std::string reason;
  for (size_t i = 0; i < results.size(); ++i) {
    const auto& [outcome, why] = results[i];
    const size_t origin = work.origins[i];
    if (outcome == store::Outcome::kRetry) {
      reason = why;
      again.push_back(std::move(work.pending[i]));
      again_origins.push_back(origin);
      continue;
    }
    if (outcome == store::Outcome::kDeadLetter) {
      work.refuse(work.records[origin], source_.topic(), {"store", why, "refused"}, now_us);
      continue;
    }
    document_metrics_.stored(outcome);
    if (outcome == store::Outcome::kInserted || outcome == store::Outcome::kUpdated) {
      const int64_t took_us = now_us - work.pending[i].ingested_at_us;
      document_metrics_.end_to_end(static_cast<double>(took_us) / 1e6);
    }
  }
  work.pending = std::move(again);
  work.origins = std::move(again_origins);
  if (work.pending.empty()) return Status::ok();
  return {Code::kUnavailable,
          std::to_string(work.pending.size()) + " documents not written yet: " + reason};
}

bool Worker::append_letters(Work& work) {
  forget_letters_before(work.records);
  if (work.letters.empty()) return true;
  return loop_.retry("dead_letter", [&] { return append_all(work.letters); });
}

Status Worker::append_all(std::vector<Letter>& letters) {
  std::erase_if(letters,
                [this](const Letter& letter) { return lettered_.contains(letter.failed); });
  if (letters.empty()) return Status::ok();
  const Status together = append_once(letters);
  if (together.is_ok()) {
    for (const Letter& letter : letters) note_appended(letter);
    return together;
  }
  if (together.code() != Code::kTooLarge) return together;
  // One of them is, or all are for one append: what can't be kept whole is cut, and never holds
  // up its neighbours.
  for (Letter& letter : letters) {
    Status alone = append_once({&letter, 1});
    if (alone.code() == Code::kTooLarge) {
      spdlog::warn("dead letters: the record at {}:{} is cut to {} bytes: {}",
                   letter.failed.partition, letter.failed.offset, kLetterValueBytesMax,
                   alone.message());
      letter.record = shorten(std::move(letter.record));
      alone = append_once({&letter, 1});
    }
    if (!alone.is_ok()) return alone;
    note_appended(letter);
  }
  return Status::ok();
}

void Worker::note_appended(const Letter& letter) {
  document_metrics_.dead_letter(letter.stage, letter.cause);
  lettered_.insert(letter.failed);
}

// Reading again begins at what is committed, so what stands before a batch does not come back.
void Worker::forget_letters_before(std::span<const log::Record> batch) {
  std::map<int32_t, int64_t> first;
  for (const log::Record& record : batch) {
    first.emplace(record.position.partition, record.position.offset);
  }
  std::erase_if(lettered_, [&](const log::Position& position) {
    const auto begin = first.find(position.partition);
    return begin != first.end() && position.offset < begin->second;
  });
}

Status Worker::append_once(std::span<const Letter> letters) {
  std::vector<log::NewRecord> records;
  records.reserve(letters.size());
  for (const Letter& letter : letters) records.push_back(letter.record);

  // Shared with the callback, which may come after this function gave up waiting.
  auto outcome = std::make_shared<std::promise<Status>>();
  std::future<Status> answered = outcome->get_future();
  dead_letters_.append(std::move(records),
                       [outcome](const Result<std::vector<log::Position>>& done) {
                         outcome->set_value(done.status());
                       });
  const auto wait = std::chrono::milliseconds(options_.dead_letter_wait_ms_max);
  if (answered.wait_for(wait) != std::future_status::ready) {
    return {Code::kUnavailable, "the dead-letter log does not answer"};
  }
  return answered.get();
}

}  // namespace ca4::worker
