#include "http/answers.h"

#include <chrono>
#include <utility>

#include "http/response_text.h"

namespace ca4::http {
namespace {

// A client that reads no answers gets no further request read while so much waits for it, so that
// pipelined requests for large answers hold no more memory than that and one answer. Thousands of
// ordinary answers are less.
constexpr size_t kUnreadBytesMax = 64 << 10;

int64_t unix_s() {
  using namespace std::chrono;
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace

uint64_t Answers::owe(const Asked& asked) {
  slots_.push_back({.response = std::nullopt, .asked = asked});
  return first_slot_ + slots_.size() - 1;
}

void Answers::put(uint64_t slot, Response response) {
  if (slot < first_slot_ || slot - first_slot_ >= slots_.size()) return;
  Slot& waiting = slots_[slot - first_slot_];
  waiting.asked.keep_alive = waiting.asked.keep_alive && !response.close;
  unread_bytes_ += response.body.size();
  if (unread_bytes_ > kUnreadBytesMax) count();
  waiting.response = std::move(response);
}

void Answers::refuse(Response response, bool head_only) {
  slots_.push_back(
      {.response = std::move(response), .asked = {.head_only = head_only, .keep_alive = false}});
}

void Answers::say_continue() {
  slots_.push_back({.response = Response{}, .interim = true});
}

bool Answers::may_owe_more() const {
  return slots_.size() < shared_.options.pipeline_max && unread_bytes_ <= kUnreadBytesMax;
}

bool Answers::may_begin_more() const {
  const bool waits = !none() && slots_.back().asked.alone && !slots_.back().response;
  return may_owe_more() && !waits;
}

bool Answers::write(bool no_more, std::string& out) {
  bool ends = false;
  while (!ends && !slots_.empty() && slots_.front().response) {
    const Slot& slot = slots_.front();
    if (slot.interim) {
      out.append("HTTP/1.1 100 Continue\r\n\r\n");
    } else {
      ends = !slot.asked.keep_alive || (no_more && slots_.size() == 1);
      append_response(*slot.response, slot.asked.head_only, !ends,
                      {.tls = tls_, .unix_s = unix_s()}, out);
    }
    slots_.pop_front();
    ++first_slot_;
  }
  return ends;
}

void Answers::written() {
  unread_bytes_ = 0;
  for (const Slot& slot : slots_) {
    if (slot.response) unread_bytes_ += slot.response->body.size();
  }
  count();
}

void Answers::drop() {
  shared_.answers_bytes.fetch_sub(std::exchange(counted_bytes_, 0));
  slots_.clear();
}

// Counts what is not read among that of all, where it is much.
void Answers::count() {
  const size_t many = unread_bytes_ > kUnreadBytesMax ? unread_bytes_ : 0;
  if (many == counted_bytes_) return;
  shared_.answers_bytes.fetch_add(many - counted_bytes_);
  counted_bytes_ = many;
}

}  // namespace ca4::http
