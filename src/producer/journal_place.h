// Where a run's journal goes when nobody says.
#pragma once

#include <string>

namespace ca4::producer {

// Where Colab mounts a person's Google Drive.
inline constexpr const char* kDriveFolder = "/content/drive/MyDrive";

// `drive`/ca4/produce.journal when the folder `drive` is there, so that the journal outlives the
// machine (its folder is made), or can't be looked at (the journal then can't be opened); otherwise
// .ca4-journal in the working folder.
std::string default_journal(const std::string& drive = kDriveFolder);

}  // namespace ca4::producer
