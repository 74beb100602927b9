#include "archive/archive.h"

#include <fmt/format.h>

#include "verify/marker.h"
#include "verify/suites.h"

namespace ca4::verify {
namespace {

using ArchiveSlot = Slot<archive::Archive>;

constexpr const char* kArchiveFix =
    "may this user write there, and is there room (archive in `ca4 config`)?";

constexpr const char* kAwayFix =
    "does the server run, may this machine reach it, and is its address right "
    "(archive.s3_endpoint, "
    "or s3_region and s3_bucket for AWS)?";

constexpr const char* kMissingFix = "the worker makes it: start `ca4 up` or `ca4 work`";

constexpr const char* kSetupFix =
    "correct that; docs/archive.md says where keys, region and endpoint are looked for";

Finding failed(const Status& status) {
  if (status.code() == Code::kUnavailable) return Finding::fail(status, kAwayFix);
  if (status.code() == Code::kNotFound) return Finding::fail(status, kMissingFix);
  return Finding::fail(status, status.code() == Code::kConfig ? kSetupFix : kArchiveFix);
}

Finding answers(const Open<archive::Archive>& open, const ArchiveSlot& slot) {
  if (!open) return Finding::skip("archive.enabled is false");
  if (const Status opened = fill(open, slot); !opened.is_ok()) {
    return failed(opened);
  }
  const Status pinged = (*slot)->ping();
  return pinged.is_ok() ? Finding::pass("it answers") : failed(pinged);
}

Finding put(const ArchiveSlot& slot, const std::string& key) {
  const Status status = (*slot)->put(key, key, "text/plain");
  return status.is_ok() ? Finding::pass(key) : failed(status);
}

Finding get(const ArchiveSlot& slot, const std::string& key) {
  const Result<std::string> body = (*slot)->get(key);
  if (!body) return Finding::fail(body.status(), "may this user read?");
  if (*body == key) return Finding::pass("as written");
  return Finding::fail("other bytes came back than were put", "is another program writing here?");
}

Finding listed(const ArchiveSlot& slot, const std::string& key) {
  const Result<std::vector<archive::ObjectInfo>> found = (*slot)->list(key);
  if (!found) return Finding::fail(found.status(), "may this user list?");
  if (found->size() == 1) return Finding::pass("it is in the list");
  return Finding::fail(fmt::format("{} objects of that name", found->size()),
                       "may this user list?");
}

Finding remove(const ArchiveSlot& slot, const std::string& key) {
  if (const Status removed = (*slot)->remove(key); !removed.is_ok()) {
    return Finding::fail(removed,
                         "may this user delete? The worker need not: this check alone does");
  }
  if ((*slot)->get(key).status().code() == Code::kNotFound) return Finding::pass("gone");
  return Finding::fail(key + " is still there", "are versions or locks on?");
}

}  // namespace

void archive(Checklist& list, const Backends& backends) {
  const ArchiveSlot slot = make_slot<archive::Archive>();
  const std::string key = fmt::format("{}/{}", kMarkerPipeline, marker_id());
  if (!list.check("answers", [open = backends.archive, slot] { return answers(open, slot); })) {
    return;
  }
  if (!list.check("put", [=] { return put(slot, key); })) return;
  list.check("get", [=] { return get(slot, key); });
  list.check("list", [=] { return listed(slot, key); });
  list.check("remove", [=] { return remove(slot, key); });
}

}  // namespace ca4::verify
