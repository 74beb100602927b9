// The quick way through an embedding that is a JSON list: its numbers are most of such a payload,
// and nearly all of them are written in one of two forms. Internal to the parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "event/event.h"

namespace ca4::event {

struct NumberList {
  size_t bytes = 0;  // from the opening bracket to the closing one, both included
  size_t count = 0;
};

// Reads the list that `text` begins with into the front of `out`. Each float is what the nearest
// double of the text, cast to float, is, bit by bit. A list of another kind, whatever the reason
// (no list, empty, too long, an element that is no number by RFC 8259 or infinite as a float, not
// ended), has `count` 0; so has one that is not worth reading here, with exponents in more than an
// eighth of its numbers.
NumberList read_number_list(std::string_view text, std::span<float, kDimMax> out);

// Which of 32 bytes are digits: text[i] in bit i. What is portable, here and below, does the same
// for processors without instructions for it.
uint32_t find_digits(const char* text);
uint32_t find_digits_portably(const char* text);

// What `count` digits, up to 30, are behind a point, those after the 16th left out, where 16 bytes
// may be read: off by a factor of (1 + 2^-53)^3 at most.
double read_fraction(const char* text, size_t count);
double read_fraction_portably(const char* text, size_t count);

// A payload cut in two: the numbers of what seems to be its member `embedding`, and all the rest,
// with an empty list in their place.
//
// Whoever walks the rest and meets, as the value of the top-level member `embedding`, the token
// that `is_place` knows, has read the payload: what stands before the list leaves JSON's grammar in
// the same state with the list and without its numbers, and so does the list itself. Where the rest
// is refused, or that token is not met, the cut says nothing about the payload.
class CutPayload {
 public:
  // How far from its beginning a payload is searched for the list. Members before it rarely have
  // more, and a payload without one, in base64, must not be searched for long.
  static constexpr size_t kSearchBytes = 4096;

  // False when there is no such list, or cutting does not pay; then `is_place` knows no token.
  bool cut(std::string_view payload, std::span<float, kDimMax> numbers);

  // Followed by Parser::kPaddingBytes.
  std::string_view rest() const { return std::string_view(rest_).substr(0, rest_bytes_); }
  bool is_place(const char* token) const { return count_ > 0 && token == rest_.data() + place_; }
  size_t count() const { return count_; }
  void forget() { count_ = 0; }

 private:
  std::string rest_;
  size_t rest_bytes_ = 0;
  size_t place_ = 0;
  size_t count_ = 0;
};

}  // namespace ca4::event
