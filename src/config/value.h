// One setting's value: from text, to text, its limits in words, and what of it may be printed.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "config/table.h"

namespace ca4::config {

// Sets the field of `setting` in `settings` from the text of a flag or variable. kInvalidArgument
// says what was expected and what was got ("must be 0 to 256 threads, not '999'"), without the
// setting's name; `settings` is then unchanged.
Status set_text(const Setting& setting, std::string_view text, Settings& settings);

// The same for values that a TOML file has already typed; a wrong type is kInvalidArgument.
Status set_whole_number(const Setting& setting, int64_t value, Settings& settings);
Status set_switch(const Setting& setting, bool value, Settings& settings);

// "must be a whole number of bytes, not an array": `got` names what there was.
Status wrong_type(const Setting& setting, std::string_view got);

// What the setting takes: "a whole number", "a string", "true or false", "one of text, json".
std::string expected(const Setting& setting);

// The limits for the documentation: "0 to 256", "HOST:PORT", "text, json", "true, false".
std::string limits(const Setting& setting);

// What stands for the value in --help: "N", "HOST:PORT", "text|json"; empty for a switch.
std::string placeholder(const Setting& setting);

// The value as text, secrets masked.
std::string value_text(const Setting& setting, const Settings& settings);

// The value as TOML, which is JSON too: strings quoted; secrets masked.
std::string value_literal(const Setting& setting, const Settings& settings);

// `text` in double quotes, escaped so that both TOML and JSON read it back.
std::string quoted(std::string_view text);

// Replaces what is secret in any URI inside `text` by "****": the password before '@', and the
// MongoDB options tlsCertificateKeyFilePassword and authMechanismProperties.
std::string mask_secrets(std::string_view text);

}  // namespace ca4::config
