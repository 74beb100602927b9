// Files of certificates and keys in PEM form, looked at before a library is given them: most say
// little when they can't use one, and some nothing.
#pragma once

#include <string>

#include "base/status.h"

namespace ca4 {

// kConfig, naming the file and what is wrong with it, unless it can be read and holds at least one
// certificate. Whether that is valid now, or the right one, is for whoever connects with it.
Status check_certificate_file(const std::string& path);

// The same of a private key, which must not need a passphrase.
Status check_private_key_file(const std::string& path);

}  // namespace ca4
