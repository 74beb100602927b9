// What tunnel agents say, read as far as CA4 needs it. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ca4::door {

// Of a line of `ngrok --log-format json`: where the agent serves its local API ("127.0.0.1:4040"),
// when the line tells of that.
std::optional<std::string> ngrok_api_address(std::string_view line);

// Of the answer of ngrok's GET /api/tunnels: the public URL of the tunnel, the https one where
// there are two. Nothing while there is no tunnel, or when it is no such answer.
std::optional<std::string> ngrok_public_url(std::string_view json);

// Of a line of cloudflared's log: the URL of a quick tunnel, "https://….trycloudflare.com".
std::optional<std::string> cloudflared_public_url(std::string_view line);

// Of a line of either: what went wrong, for a person; nothing when the line complains of nothing.
std::optional<std::string> complaint(std::string_view line);

}  // namespace ca4::door
