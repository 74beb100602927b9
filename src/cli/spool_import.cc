#include "cli/spool_import.h"

#include <fmt/format.h>

#include <optional>

#include "base/printable.h"
#include "cli/out_file.h"
#include "cli/spool_ports.h"

namespace ca4::cli {
namespace {

// Made with the first row that goes into it.
class RejectedFile {
 public:
  explicit RejectedFile(const std::string& csv) : csv_(csv), path_(csv + ".rejected.csv") {}

  Status add(const CsvRow& row, const std::string& why) {
    fmt::print(stderr, "{}:{}: {}\n", csv_, row.line, printable(why));
    if (!file_) {
      Result<OutFile> made = OutFile::create(path_);
      if (!made) return made.status();
      file_.emplace(std::move(*made));
    }
    // One that was too large to be held stays where it is.
    return row.raw.empty() ? Status::ok() : file_->write(fmt::format("{}\r\n", row.raw));
  }

  Status finish() { return file_ ? file_->finish() : Status::ok(); }
  std::string path() const { return file_ ? path_ : ""; }

 private:
  const std::string csv_;
  const std::string path_;
  std::optional<OutFile> file_;
};

Status locked(const Status& why) {
  return {
      Code::kUnavailable,
      fmt::format("{}\nThe outbox has one writer, and the events must keep their time. Stop `ca4 "
                  "serve` (or `ca4 up`), import, and start it again: it then sends them to Kafka "
                  "first.",
                  why.message())};
}

Status stopped(const std::string& csv, int64_t line, const Status& why) {
  return {
      why.code(),
      fmt::format("{}:{}: stopped: {}\nWhat is in front of this line was imported. Importing the "
                  "whole file again is safe: an event that is there already changes nothing.",
                  csv, line, why.message())};
}

}  // namespace

ImportOutcome import_into_outbox(const Site& site, const std::string& csv) {
  ImportOutcome outcome;
  if (!site.settings.kafka.outbox) {
    outcome.status = {
        Code::kConfig,
        "kafka.outbox (CA4_KAFKA_OUTBOX): it is false, so nobody would send on what is "
        "imported; leave it out for this and the next start of `ca4 serve`"};
    return outcome;
  }
  Result<CsvReader> rows = CsvReader::open(csv);
  outcome.status = rows.status();
  if (!rows) return outcome;
  const auto outbox = open_outbox(site);
  outcome.status =
      outbox.status().code() == Code::kUnavailable ? locked(outbox.status()) : outbox.status();
  if (!outbox) return outcome;

  RejectedFile rejected(csv);
  ImportReport& report = outcome.report;
  const Status imported = import_csv(
      *rows, **outbox, site.clock,
      [&](const CsvRow& row, const std::string& why) { return rejected.add(row, why); }, report);
  outcome.rejected_file = rejected.path();
  outcome.status = rejected.finish();
  if (!imported.is_ok()) {
    outcome.status = stopped(csv, report.line, imported);
  } else if (outcome.status.is_ok() && report.rejected > 0) {
    outcome.status = {Code::kInvalidArgument,
                      fmt::format("{} rows of {} were rejected", report.rejected, csv)};
  }
  return outcome;
}

}  // namespace ca4::cli
