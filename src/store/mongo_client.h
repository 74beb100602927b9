// Connections to one MongoDB-compatible server, on libmongoc.
#pragma once

#include <mongoc/mongoc.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/status.h"

namespace ca4::store {

struct MongoClientOptions {
  // mongodb:// or mongodb+srv://. What it says about a time or the pool counts, not what is here.
  std::string uri = {};
  // PEM file of the CAs to trust; with it TLS is on.
  std::string ca_file = {};
  // TCP and TLS; also how often a silent server is given up by the connection that watches it.
  int64_t connect_timeout_ms = 5'000;
  // How long an operation looks for a writable server. An election takes less than that.
  int64_t server_selection_timeout_ms = 10'000;
  // One whole request or answer on the wire.
  int64_t socket_timeout_ms = 20'000;
  // Clients at once, and how long one more waits for one of them to come back.
  int64_t clients_max = 8;
  // Called from any thread after each command: its name, how long it took, whether it succeeded.
  // Must outlive the clients.
  std::function<void(std::string_view command, double seconds, bool succeeded)> observe = {};
};

// A pool of clients. Thread-safe; must outlive its leases.
class MongoClients {
 public:
  // Connects to nothing yet. kConfig when the URI or a file that it names can't be used; the
  // message holds no part of the URI but its hosts and the file.
  static Result<std::unique_ptr<MongoClients>> open(MongoClientOptions options);
  ~MongoClients();
  MongoClients(const MongoClients&) = delete;
  MongoClients& operator=(const MongoClients&) = delete;

  // A client for one thread; goes back when destroyed.
  class Lease {
   public:
    Lease(mongoc_client_pool_t* pool, mongoc_client_t* client) : pool_(pool), client_(client) {}
    Lease(Lease&& other) noexcept : pool_(other.pool_), client_(other.client_) {
      other.client_ = nullptr;
    }
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (client_ != nullptr) mongoc_client_pool_push(pool_, client_);
    }
    mongoc_client_t* get() const { return client_; }

   private:
    mongoc_client_pool_t* pool_;
    mongoc_client_t* client_;
  };

  // kUnavailable when the names of a mongodb+srv URI can't be looked up now, kOverloaded when all
  // clients stay in use.
  Result<Lease> take();

  // "db1:27017,db2:27017", or the name that the SRV record is looked up for.
  const std::string& hosts() const { return hosts_; }

 private:
  struct UriDeleter {
    void operator()(mongoc_uri_t* uri) const { mongoc_uri_destroy(uri); }
  };
  using UriPtr = std::unique_ptr<mongoc_uri_t, UriDeleter>;

  MongoClients(MongoClientOptions options, UriPtr uri);
  Result<mongoc_client_pool_t*> pool();

  const MongoClientOptions options_;
  const UriPtr uri_;
  const std::string hosts_;
  std::mutex mutex_;
  // Made when first needed: looking up SRV records can fail, and must not stop a start.
  mongoc_client_pool_t* pool_ = nullptr;  // guarded by mutex_
};

}  // namespace ca4::store
