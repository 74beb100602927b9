// The answers that a connection owes, in the order of its requests. Internal to http/; everything
// on its loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "http/loop.h"

namespace ca4::http {

// Of which bodies that their client does not read count in Shared::answers_bytes where they are
// many.
class Answers {
 public:
  // `shared` must live as long; `tls` is said in each answer.
  Answers(Shared& shared, bool tls) : shared_(shared), tls_(tls) {}
  Answers(const Answers&) = delete;
  Answers& operator=(const Answers&) = delete;
  ~Answers() { drop(); }

  // What the answer to a request depends on beside itself.
  struct Asked {
    bool head_only = false;
    bool keep_alive = true;
    // Nothing is begun behind it before its answer is there.
    bool alone = false;
  };
  // Owes one more; its slot, for `put`.
  uint64_t owe(const Asked& asked);
  // The answer to the request of `slot`; nothing happens when that one is gone.
  void put(uint64_t slot, Response response);
  // Behind all that are owed: the last one of this connection, and "100 Continue".
  void refuse(Response response, bool head_only);
  void say_continue();

  bool none() const { return slots_.empty(); }
  // Whether another request may be read before these are written.
  bool may_owe_more() const;
  // Whether it may be begun, too.
  bool may_begin_more() const;

  // Appends to `out` those at the front that are there. True when nothing may follow: the
  // connection ends after them, as one of them says, or as with `no_more` the last one is written.
  bool write(bool no_more, std::string& out);
  // What `write` appended has gone.
  void written();
  // Whether so much is not read that it counts.
  bool counted() const { return counted_bytes_ > 0; }
  void drop();

 private:
  struct Slot {
    std::optional<Response> response;
    Asked asked = {};
    bool interim = false;  // "100 Continue"
  };
  void count();

  Shared& shared_;
  const bool tls_;
  std::deque<Slot> slots_;
  uint64_t first_slot_ = 0;
  size_t unread_bytes_ = 0;   // bodies in slots_, and of what `write` appended
  size_t counted_bytes_ = 0;  // of them, in Shared::answers_bytes
};

}  // namespace ca4::http
