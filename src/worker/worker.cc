#include "worker/worker.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <utility>

#include "base/halves.h"
#include "worker/dead_letters.h"

namespace ca4::worker {

struct Worker::Letter {
  log::Position failed;
  int64_t appended_at_us;  // of the record that failed
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
    letters.push_back({record.position, record.appended_at_us,
                       make_dead_letter(record, topic, failure, now_us), failure.stage,
                       failure.cause});
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
  const std::span<const store::Document> pending(work.pending);
  std::vector<store::UpsertResult> results;
  const auto upsert = [&](size_t begin, size_t count) {
    const Result<std::vector<store::UpsertResult>> some =
        store_.upsert(pending.subspan(begin, count));
    if (!some) return some.status();
    if (some->size() != count) {
      return Status(Code::kInternal, "the store gave another number of results than documents");
    }
    results.insert(results.end(), some->begin(), some->end());
    return Status::ok();
  };
  const auto refuse = [&](size_t, const Status& why) {
    results.push_back({store::Outcome::kDeadLetter, why.message()});
    return Status::ok();
  };
  const Status status = try_in_halves(pending.size(), upsert, refuse);
  if (results.empty()) return status;
  // Where the store went away in between, the rest was not tried.
  results.resize(pending.size(), {store::Outcome::kRetry, status.message()});
  return settle(work, results);
}

Status Worker::settle(Work& work, std::span<const store::UpsertResult> results) {
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
      // A processor's clock may be ahead of ours; a sum that falls is a new start to a rate.
      const int64_t took_us = std::max<int64_t>(now_us - work.pending[i].ingested_at_us, 0);
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
  std::erase_if(letters, [this](const Letter& letter) {
    return lettered_.contains({letter.failed, letter.appended_at_us});
  });
  const std::span<Letter> all(letters);
  const auto append = [&](size_t begin, size_t count) {
    return append_once(all.subspan(begin, count));
  };
  // What can't be kept whole is cut, and never holds up its neighbours.
  const auto cut = [&](size_t index, const Status& why) {
    Letter& letter = all[index];
    spdlog::warn("dead letters: the record at {}:{} is cut to {} bytes: {}",
                 letter.failed.partition, letter.failed.offset, kLetterValueBytesMax,
                 why.message());
    letter.record = shorten(std::move(letter.record));
    return append(index, 1);
  };
  return try_in_halves(all.size(), append, cut);
}

// Reading again begins at what is committed, so what stands before a batch does not come back.
void Worker::forget_letters_before(std::span<const log::Record> batch) {
  std::map<int32_t, int64_t> first;
  for (const log::Record& record : batch) {
    first.emplace(record.position.partition, record.position.offset);
  }
  std::erase_if(lettered_, [&](const auto& lettered) {
    const log::Position& position = lettered.first;
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
  Status appended = answered.get();
  if (!appended.is_ok()) return appended;
  for (const Letter& letter : letters) {
    document_metrics_.dead_letter(letter.stage, letter.cause);
    lettered_.emplace(letter.failed, letter.appended_at_us);
  }
  return appended;
}

}  // namespace ca4::worker
