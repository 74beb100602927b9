#include "store/mongo_upsert.h"

#include <fmt/format.h>

#include <limits>
#include <optional>

#include "event/json_text.h"
#include "store/mongo_errors.h"
#include "store/mongo_query.h"

namespace ca4::store {
namespace {

// One message to the server: well below its 48 MB, and small enough to pass a slow uplink (2
// Mbit/s) within the socket's timeout. 150 documents of 2048 doubles.
constexpr size_t kPartBytesMax = 4U << 20;
// What every server takes in one message; some take 1000 only, MongoDB 100,000.
constexpr size_t kPartDocumentsMax = 1000;
// How often one batch meets another writer of the same id before it gives way and is tried later.
constexpr int kRoundsMax = 5;

constexpr size_t kReasonBytesMax = 400;

std::string_view text_of(const bson_iter_t& document, const char* name) {
  bson_iter_t at;
  if (!bson_iter_recurse(&document, &at) || !bson_iter_find(&at, name)) return {};
  uint32_t size = 0;
  const char* const text = bson_iter_utf8(&at, &size);
  return text == nullptr ? std::string_view() : std::string_view(text, size);
}

int64_t number_of(const bson_iter_t& document, const char* name) {
  bson_iter_t at;
  if (!bson_iter_recurse(&document, &at) || !bson_iter_find(&at, name)) return -1;
  return bson_iter_as_int64(&at);
}

// Visits the elements of an array field; does nothing when there is none.
template <class Visit>
void for_each_element(const bson_t& reply, const char* name, const Visit& visit) {
  bson_iter_t at;
  bson_iter_t element;
  if (!bson_iter_init_find(&at, &reply, name) || !bson_iter_recurse(&at, &element)) return;
  while (bson_iter_next(&element)) visit(element);
}

bool has_elements(const bson_t& reply, const char* name) {
  bool any = false;
  for_each_element(reply, name, [&any](const bson_iter_t&) { any = true; });
  return any;
}

int64_t count_of(const bson_t& reply, const char* name) {
  bson_iter_t at;
  return bson_iter_init_find(&at, &reply, name) ? bson_iter_as_int64(&at) : 0;
}

// What was there before the written member of a group came; nothing when it was inserted. Of what
// it replaced no more is known than that it was older, and of what beat it, that it is newer.
std::optional<uint64_t> version_before(Outcome outcome, uint64_t written) {
  switch (outcome) {
    case Outcome::kUpdated:
      return 0;
    case Outcome::kUnchanged:
      return written;
    case Outcome::kStale:
      return std::numeric_limits<uint64_t>::max();
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<std::vector<UpsertResult>> MongoUpsert::run(std::span<const Document> batch) {
  batch_ = batch;
  results_.assign(batch.size(), {});
  group_by_id();
  for (Group& group : groups_) {
    if (!encode_newest(group)) continue;
    const bool full = bytes_ + document_->len > kPartBytesMax || part_.size() >= kPartDocumentsMax;
    if (full && !part_.empty()) {
      if (Status status = flush(); !status.is_ok()) return status;
      encode_newest(group);  // what had to be written again was encoded in its place
    }
    const Document& newest = batch_[group.newest];
    group.filter = older_bson(newest.metadata_id, newest.version);
    if (Status status = add(group); !status.is_ok()) return status;
    part_.push_back(&group);
    bytes_ += document_->len;
  }
  if (Status status = flush(); !status.is_ok()) return status;
  return std::move(results_);
}

void MongoUpsert::group_by_id() {
  std::unordered_map<std::string_view, size_t> group_of_id;
  groups_.reserve(batch_.size());
  for (size_t i = 0; i < batch_.size(); ++i) {
    const auto [place, fresh] = group_of_id.try_emplace(batch_[i].metadata_id, groups_.size());
    if (fresh) groups_.emplace_back();
    groups_[place->second].members.push_back(i);
  }
}

bool MongoUpsert::encode_newest(Group& group) {
  std::optional<size_t> encoded;
  std::optional<size_t> newest;
  std::erase_if(group.members, [&](size_t member) {
    if (Status bad = encoder_.encode(batch_[member], *document_); !bad.is_ok()) {
      results_[member] = {Outcome::kDeadLetter, bad.message()};
      encoded.reset();
      return true;
    }
    encoded = member;
    if (!newest || batch_[member].version > batch_[*newest].version) newest = member;
    return false;
  });
  if (!newest) return false;
  group.newest = *newest;
  return encoded == newest || encoder_.encode(batch_[*newest], *document_).is_ok();
}

Status MongoUpsert::add(const Group& group) {
  if (!bulk_) {
    bson_t unordered;
    bson_init(&unordered);
    BSON_APPEND_BOOL(&unordered, "ordered", false);
    bulk_.reset(mongoc_collection_create_bulk_operation_with_opts(&collection_, &unordered));
    bson_destroy(&unordered);
  }
  // The library's own check reads every document once more; what the encoder wrote is valid.
  bson_t options;
  bson_init(&options);
  BSON_APPEND_BOOL(&options, "upsert", true);
  BSON_APPEND_BOOL(&options, "validate", false);
  bson_error_t error = {};
  const bool taken = mongoc_bulk_operation_replace_one_with_opts(bulk_.get(), group.filter.get(),
                                                                 document_.get(), &options, &error);
  bson_destroy(&options);
  return taken ? Status::ok()
               : Status(Code::kInternal, fmt::format("libmongoc: {}", error.message));
}

Status MongoUpsert::flush() {
  std::vector<Group*> pending = part_;
  for (int round = 0; round < kRoundsMax && !pending.empty(); ++round) {
    if (round > 0) {
      if (Status status = add_again(pending); !status.is_ok()) return status;
    }
    if (Status status = write(pending); !status.is_ok()) return status;
    if (pending.empty()) break;
    if (Status status = compare(pending); !status.is_ok()) return status;
  }
  for (Group* const group : pending) {
    // A duplicate of what is not there by its id: in an index of somebody's, by a server that does
    // not say which.
    if (!group->seen) group->result.outcome = Outcome::kDeadLetter;
    if (group->seen) group->result.reason = "other writers change this document all the time";
  }
  for (const Group* const group : part_) settle(*group);
  part_.clear();
  bytes_ = 0;
  return Status::ok();
}

Status MongoUpsert::add_again(const std::vector<Group*>& pending) {
  for (const Group* const group : pending) {
    Status status = encoder_.encode(batch_[group->newest], *document_);
    if (status.is_ok()) status = add(*group);
    if (!status.is_ok()) return status;
  }
  return Status::ok();
}

Status MongoUpsert::write(std::vector<Group*>& pending) {
  const MongoPtr<mongoc_bulk_operation_t> bulk = std::move(bulk_);
  bson_error_t error = {};
  BsonReply reply;
  const bool all_written = mongoc_bulk_operation_execute(bulk.get(), reply.get(), &error) != 0;
  // What was refused one by one is in the reply, and `error` only repeats the first of it.
  const bool answered =
      has_elements(reply.bson(), "writeErrors") || has_elements(reply.bson(), "writeConcernErrors");
  if (!all_written && !answered) return to_status(error, options_.hosts);
  return read_reply(reply.bson(), pending);
}

Status MongoUpsert::read_reply(const bson_t& reply, std::vector<Group*>& pending) const {
  std::optional<std::string> unconfirmed;  // the server's word, which may be empty
  for_each_element(reply, "writeConcernErrors", [&](const bson_iter_t& element) {
    unconfirmed = event::excerpt(text_of(element, "errmsg"), kReasonBytesMax);
  });
  if (unconfirmed) {
    return {Code::kUnavailable, fmt::format("MongoDB at {}: written, but not confirmed by a "
                                            "majority: {}",
                                            options_.hosts, *unconfirmed)};
  }
  for (Group* const group : pending) group->result = {Outcome::kUpdated, {}};
  for_each_element(reply, "upserted", [&](const bson_iter_t& element) {
    const int64_t index = number_of(element, "index");
    if (index >= 0 && std::cmp_less(index, pending.size())) {
      pending[static_cast<size_t>(index)]->result.outcome = Outcome::kInserted;
    }
  });
  int64_t refused = 0;
  std::vector<Group*> duplicates;
  for_each_element(reply, "writeErrors", [&](const bson_iter_t& element) {
    const int64_t index = number_of(element, "index");
    if (index < 0 || !std::cmp_less(index, pending.size())) return;
    ++refused;
    Group* const group = pending[static_cast<size_t>(index)];
    const auto code = static_cast<int32_t>(number_of(element, "code"));
    const std::string_view message = text_of(element, "errmsg");
    const WriteFailure failure = classify_write_error(code, message);
    group->result = {
        failure == WriteFailure::kDeadLetter ? Outcome::kDeadLetter : Outcome::kRetry,
        fmt::format("MongoDB: {} (code {})", event::excerpt(message, kReasonBytesMax), code)};
    if (failure == WriteFailure::kDuplicate) duplicates.push_back(group);
  });
  // A connection that broke between two messages of one bulk is hidden behind the first one's
  // refusals. What the server did not speak of is not known to be written.
  const int64_t told = count_of(reply, "nMatched") + count_of(reply, "nUpserted") + refused;
  if (!std::cmp_equal(told, pending.size())) {
    return {Code::kUnavailable, fmt::format("MongoDB at {}: answered for {} of {} documents",
                                            options_.hosts, told, pending.size())};
  }
  pending = std::move(duplicates);
  return Status::ok();
}

// A majority's view on the primary: what the refused writes have waited for.
Status MongoUpsert::compare(std::vector<Group*>& pending) const {
  std::vector<std::string> ids;
  std::unordered_map<std::string_view, Group*> by_id;
  for (Group* const group : pending) {
    ids.push_back(batch_[group->newest].metadata_id);
    by_id.emplace(batch_[group->newest].metadata_id, group);
  }
  bson_t options;
  bson_init(&options);
  const MongoPtr<mongoc_read_concern_t> concern(mongoc_read_concern_new());
  mongoc_read_concern_set_level(concern.get(), MONGOC_READ_CONCERN_LEVEL_MAJORITY);
  mongoc_read_concern_append(concern.get(), &options);
  bson_t fields;
  BSON_APPEND_DOCUMENT_BEGIN(&options, "projection", &fields);
  BSON_APPEND_INT32(&fields, "version", 1);
  bson_append_document_end(&options, &fields);
  const MongoPtr<mongoc_read_prefs_t> primary(mongoc_read_prefs_new(MONGOC_READ_PRIMARY));
  const MongoPtr<mongoc_cursor_t> cursor(
      mongoc_collection_find_with_opts(&collection_, ids_bson(ids).get(), &options, primary.get()));
  bson_destroy(&options);

  const Status status = read_all(*cursor, options_.hosts, [&](const bson_t& stored) {
    compare_one(stored, by_id);
    return true;
  });
  if (!status.is_ok()) return status;
  std::erase_if(pending, [](const Group* group) {
    return group->result.outcome == Outcome::kUnchanged || group->result.outcome == Outcome::kStale;
  });
  return Status::ok();
}

void MongoUpsert::compare_one(const bson_t& stored,
                              std::unordered_map<std::string_view, Group*>& by_id) const {
  bson_iter_t at;
  uint32_t size = 0;
  if (!bson_iter_init_find(&at, &stored, "_id") || !BSON_ITER_HOLDS_UTF8(&at)) return;
  const char* const id = bson_iter_utf8(&at, &size);
  const auto found = by_id.find(std::string_view(id, size));
  if (found == by_id.end()) return;
  Group& group = *found->second;
  group.seen = true;
  const Document& ours = batch_[group.newest];
  const bool has_version = bson_iter_init_find(&at, &stored, "version");
  if (has_version && BSON_ITER_HOLDS_NUMBER(&at)) {
    const auto version = static_cast<uint64_t>(bson_iter_as_int64(&at));
    if (version == ours.version) group.result = {Outcome::kUnchanged, {}};
    if (version > ours.version) group.result = {Outcome::kStale, {}};
  }
  group.filter = exactly_bson(ours.metadata_id, has_version ? &at : nullptr);
}

// As if the members had been written one after the other.
void MongoUpsert::settle(const Group& group) {
  results_[group.newest] = group.result;
  if (group.members.size() == 1) return;
  if (group.result.outcome == Outcome::kRetry || group.result.outcome == Outcome::kDeadLetter) {
    for (const size_t member : group.members) {
      if (member == group.newest) continue;
      results_[member] = {Outcome::kRetry,
                          "a newer version of it was not written: " + group.result.reason};
    }
    return;
  }
  std::optional<uint64_t> there =
      version_before(group.result.outcome, batch_[group.newest].version);
  for (const size_t member : group.members) {
    const uint64_t version = batch_[member].version;
    Outcome& outcome = results_[member].outcome;
    outcome = Outcome::kStale;
    if (there && version == *there) outcome = Outcome::kUnchanged;
    if (there && version <= *there) continue;
    outcome = there ? Outcome::kUpdated : Outcome::kInserted;
    there = version;
  }
}

}  // namespace ca4::store
