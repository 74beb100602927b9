// Who reaches a server that asks for no token because only this machine reaches it: a browser on
// this machine runs the scripts of every page it shows.
#pragma once

#include <string>
#include <string_view>

#include "http/server.h"

namespace ca4::http {

// Whether only this machine can connect to a server that listens there.
bool is_loopback(const std::string& host);

// Why a request is refused, as a sentence; empty when it may pass. Refused are
// - a Host that is neither an IP address nor localhost, *.localhost or `listen_host`: a page of
//   another site whose name was made to point here (DNS rebinding) could read everything;
// - anything but GET and HEAD whose Origin is of another host: a page of another site could write
//   without seeing the answer.
// Ports do not matter. What sends neither header is no browser and passes. `token_flag` is what the
// sentence tells to give, as "--token-file".
std::string foreign_reason(const Request& request, std::string_view listen_host,
                           std::string_view token_flag);

// A handler that answers such requests 403.
Handler guard_local(Handler inner, std::string listen_host, std::string token_flag);

}  // namespace ca4::http
