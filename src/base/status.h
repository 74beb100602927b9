// Status and Result<T>: how every fallible function in CA4 reports its outcome. A closed set of
// codes, and a message written for the person who has to act on it. Exceptions do not cross our
// functions; those of third-party libraries are caught where the library is called.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace ca4 {

enum class Code {
  kOk,
  kInvalidArgument,  // the input is wrong and will be wrong again: do not retry
  kNotFound,
  kTooLarge,     // over a stated limit
  kOverloaded,   // a bounded queue or disk budget is full: retry later
  kUnavailable,  // a peer or device does not answer now: retry later
  kCorruption,   // stored bytes do not say what they said when written
  kIo,           // the operating system refused: disk full, permission, bad descriptor
  kUsage,        // wrong command line
  kConfig,       // wrong configuration file or environment
  kCancelled,    // shutdown began before the work was done
  kInternal,     // a defect in CA4
};

// The code's name as it stands in logs and JSON, e.g. "invalid_argument".
std::string_view code_name(Code code);

// The process exit code that reports `code`: 0 ok, 1 failed, 2 usage, 78 bad configuration
// (sysexits EX_CONFIG).
int exit_code(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  static Status ok() { return {}; }

  bool is_ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  // "corruption: record 17: …", or "ok".
  std::string to_string() const;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// Either a T or the Status that says why there is none. `value()` of a failed Result is a defect of
// the caller and ends the program.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : v_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Status status)
      : v_(std::in_place_index<1>, std::move(status)) {}  // NOLINT(google-explicit-constructor)

  bool is_ok() const { return v_.index() == 0; }
  explicit operator bool() const { return is_ok(); }
  T& value() & { return std::get<0>(v_); }
  const T& value() const& { return std::get<0>(v_); }
  T&& value() && { return std::get<0>(std::move(v_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  // The failure; `Status::ok()` when there is a value.
  Status status() const { return is_ok() ? Status::ok() : std::get<1>(v_); }

 private:
  std::variant<T, Status> v_;
};

}  // namespace ca4
