// `ca4 spool import`: what an older processor's CSV outbox holds goes into ours.
#pragma once

#include <string>

#include "base/status.h"
#include "cli/outbox_csv.h"
#include "cli/ports.h"

namespace ca4::cli {

struct ImportOutcome {
  ImportReport report;
  std::string rejected_file;  // holds the rejected rows as they were; empty: there are none
  Status status;              // Ok when every row was imported
};

// Tells each row that is rejected on standard error and puts it into CSV.rejected.csv. kUnavailable
// while a processor has the outbox.
ImportOutcome import_into_outbox(const Site& site, const std::string& csv);

}  // namespace ca4::cli
