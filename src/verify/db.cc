#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/clock.h"
#include "verify/marker.h"
#include "verify/suites.h"

namespace ca4::verify {
namespace {

using StoreSlot = Slot<store::DocumentStore>;

constexpr const char* kStoreFix =
    "does the database run, may this machine reach it, and are name and password right (store in "
    "`ca4 config`)?";

Finding answers(const Open<store::DocumentStore>& open, const StoreSlot& slot) {
  if (const Status opened = fill(open, slot); !opened.is_ok()) {
    return Finding::fail(opened, opened.code() == Code::kNotFound
                                     ? "the worker makes it: start `ca4 up` or `ca4 work`"
                                     : kStoreFix);
  }
  const Status pinged = (*slot)->ping();
  return pinged.is_ok() ? Finding::pass("it answers") : Finding::fail(pinged, kStoreFix);
}

Finding indexes(const StoreSlot& slot) {
  const Result<std::vector<std::string>> missing = (*slot)->missing_indexes();
  if (!missing) return Finding::fail(missing.status(), kStoreFix);
  if (missing->empty()) return Finding::pass("all there");
  return Finding::fail(fmt::format("missing: {}", fmt::join(*missing, ", ")),
                       "make them with `ca4 db ensure`");
}

Finding leftovers(const StoreSlot& slot) {
  const Result<size_t> swept = sweep(**slot, SystemClock().now_us());
  if (!swept) return Finding::fail(swept.status(), kStoreFix);
  return Finding::pass(*swept == 0 ? "no old markers"
                                   : fmt::format("removed {} old markers", *swept));
}

Finding write(const StoreSlot& slot, const std::string& id) {
  const std::vector<store::Document> batch = {marker_document(id, SystemClock().now_us())};
  const Result<std::vector<store::UpsertResult>> results = (*slot)->upsert(batch);
  if (!results) return Finding::fail(results.status(), kStoreFix);
  if (results->at(0).outcome == store::Outcome::kInserted) return Finding::pass(id);
  return Finding::fail("not written: " + results->at(0).reason, kStoreFix);
}

Finding read(const StoreSlot& slot, const std::string& id) {
  size_t found = 0;
  size_t floats = 0;
  const Status status = (*slot)->find({.metadata_id = id}, {.with_embedding = true},
                                      [&](const store::Document& document) {
                                        ++found;
                                        floats = document.embedding.size();
                                        return true;
                                      });
  if (!status.is_ok()) return Finding::fail(status, kStoreFix);
  if (found == 1 && floats == kMarkerDim) return Finding::pass("as written");
  return Finding::fail(
      fmt::format("{} documents with {} floats, not 1 with {}", found, floats, kMarkerDim),
      "is another program writing here?");
}

Finding remove(const StoreSlot& slot, const std::string& id) {
  if (const Status removed = (*slot)->remove(id); !removed.is_ok()) {
    return Finding::fail(removed, kStoreFix);
  }
  const Result<uint64_t> left = (*slot)->count({.metadata_id = id});
  if (!left) return Finding::fail(left.status(), kStoreFix);
  if (*left == 0) return Finding::pass("gone");
  return Finding::fail(id + " is still there", "may this user delete?");
}

}  // namespace

void db(Checklist& list, const Backends& backends) {
  const StoreSlot slot = make_slot<store::DocumentStore>();
  const std::string id = marker_id();
  if (!list.check("answers", [open = backends.store, slot] { return answers(open, slot); })) return;
  list.check("indexes", [slot] { return indexes(slot); });
  list.check("leftovers", [slot] { return leftovers(slot); });
  if (!list.check("write", [slot, id] { return write(slot, id); })) return;
  list.check("read", [slot, id] { return read(slot, id); });
  list.check("remove", [slot, id] { return remove(slot, id); });
}

}  // namespace ca4::verify
