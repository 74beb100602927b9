// The document store on MongoDB, where store.mongo_uri names one.
#pragma once

#include "cli/ports.h"
#include "store/mongo_client.h"

namespace ca4::cli {

// How to reach the server of the settings. Commands show up in the site's metrics where it has any.
store::MongoClientOptions mongo_client_options(const Site& site);

// kConfig when the settings can't be used. Whether the server answers shows with the first request.
Result<std::unique_ptr<store::DocumentStore>> mongo_store(const Site& site);

}  // namespace ca4::cli
