// `serve --tunnel`: the way in from outside, with a token and a cell to paste.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "config/settings.h"

namespace ca4::door {
class Door;
}

namespace ca4::cli {

// Before the server starts: is the agent there, and who may come in? Without processor.token_file a
// token is made, once, in DATA_DIR/tunnel-token (readable by its owner only), and named in
// `settings`: a public URL without one would take and give everybody's data. The processor's id is
// made, once, in DATA_DIR/processor-id. Does nothing when no tunnel is wanted.
Status prepare_door(config::Settings& settings);

// By which producers know this processor under the next URL, too; after prepare_door. Empty when no
// tunnel is wanted: several processors may then be behind one address that stays.
std::string processor_id(const config::Settings& settings);

// Starts the agent for the server at `local_url`; prints the public URL and the notebook cell
// whenever they are known or change. Null when no tunnel is wanted.
Result<std::unique_ptr<door::Door>> open_door(const config::Settings& settings,
                                              const std::string& local_url);

// The cell for a notebook. `token` empty: it asks for the token, which `token_file` holds.
std::string notebook_cell(const std::string& url, const std::string& token,
                          const std::string& token_file);

}  // namespace ca4::cli
