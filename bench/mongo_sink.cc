// mongo_sink: the other side of a MongoDB connection that costs next to nothing, so that a
// benchmark of programs that write takes minutes and not hours, whoever writes. It reads every
// command whole, walks through each document and remembers its `_id`, and forgets the rest: a load
// generator's counterpart, no database. `count` tells how many ids there are. Prints where it
// listens; ends with SIGTERM.
//
// Inserts and replacements, as OP_MSG; the handshake also as OP_QUERY, which drivers begin with.
#include <arpa/inet.h>
#include <bson/bson.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace {

constexpr int32_t kOpReply = 1;
constexpr int32_t kOpQuery = 2004;
constexpr int32_t kOpMsg = 2013;
constexpr size_t kHeaderBytes = 16;
constexpr int32_t kMessageBytesMax = 48'000'000;  // MongoDB's

// The ids of each collection.
std::mutex ids_mutex;
std::unordered_map<std::string, std::unordered_set<std::string>> ids;

struct Broken {};  // what a client sent is no message; its connection ends

const uint8_t* data_of(std::string_view bytes) {
  return reinterpret_cast<const uint8_t*>(bytes.data());
}

bool find(std::string_view document, const char* field, bson_iter_t& at) {
  return bson_iter_init_from_data(&at, data_of(document), document.size()) &&
         bson_iter_find(&at, field);
}

std::string_view document_at(const bson_iter_t& at) {
  uint32_t size = 0;
  const uint8_t* data = nullptr;
  bson_iter_document(&at, &size, &data);
  return {reinterpret_cast<const char*>(data), size};
}

// Reads from the front of a message.
class Bytes {
 public:
  explicit Bytes(std::string_view left) : left_(left) {}
  bool empty() const { return left_.empty(); }
  int32_t int32() {
    int32_t value = 0;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view take(size_t bytes) {
    if (bytes > left_.size()) throw Broken{};
    const std::string_view taken = left_.substr(0, bytes);
    left_.remove_prefix(bytes);
    return taken;
  }
  std::string_view text() {
    const size_t end = left_.find('\0');
    if (end == std::string_view::npos) throw Broken{};
    return take(end + 1).substr(0, end);
  }
  // A document, well formed as far as its elements' types and lengths go.
  std::string_view document() {
    int32_t bytes = 0;
    if (left_.size() >= sizeof bytes) std::memcpy(&bytes, left_.data(), sizeof bytes);
    if (bytes < 5) throw Broken{};
    const std::string_view taken = take(static_cast<size_t>(bytes));
    bson_t bson;
    if (!bson_init_static(&bson, data_of(taken), taken.size()) ||
        !bson_validate(&bson, BSON_VALIDATE_NONE, nullptr)) {
      throw Broken{};
    }
    return taken;
  }

 private:
  std::string_view left_;
};

// One command: its document, and what came beside it in sections of its own.
struct Command {
  std::string_view body;
  std::vector<std::string_view> operations;

  std::string name() const {
    bson_iter_t at;
    const bool any =
        bson_iter_init_from_data(&at, data_of(body), body.size()) && bson_iter_next(&at);
    return any ? bson_iter_key(&at) : "";
  }
  std::string text(const char* field) const {
    bson_iter_t at;
    return find(body, field, at) && BSON_ITER_HOLDS_UTF8(&at) ? bson_iter_utf8(&at, nullptr) : "";
  }
  std::string collection() const { return text("$db") + "." + text(name().c_str()); }

  // Operations may also stand in the document, as an array.
  void add_array(const char* field) {
    bson_iter_t at;
    bson_iter_t element;
    if (!find(body, field, at) || !bson_iter_recurse(&at, &element)) return;
    while (bson_iter_next(&element)) operations.push_back(document_at(element));
  }
};

Command read_msg(Bytes bytes) {
  Command command;
  (void)bytes.int32();  // flags: no client asks for a checksum by itself, or for no answer
  while (!bytes.empty()) {
    const char kind = bytes.take(1)[0];
    if (kind == 0) {
      command.body = bytes.document();
      continue;
    }
    if (kind != 1) throw Broken{};
    Bytes section(bytes.take(static_cast<size_t>(bytes.int32()) - sizeof(int32_t)));
    (void)section.text();  // "documents" or "updates": the command's name says as much
    while (!section.empty()) command.operations.push_back(section.document());
  }
  return command;
}

Command read_query(Bytes bytes) {
  (void)bytes.int32();
  (void)bytes.text();
  (void)bytes.take(2 * sizeof(int32_t));
  Command command;
  command.body = bytes.document();
  return command;
}

std::string id_of(std::string_view document) {
  bson_iter_t at;
  if (!find(document, "_id", at)) throw Broken{};
  const bson_value_t* const value = bson_iter_value(&at);
  if (value->value_type == BSON_TYPE_UTF8)
    return {value->value.v_utf8.str, value->value.v_utf8.len};
  bson_t only;
  bson_init(&only);
  bson_append_value(&only, "", 0, value);
  std::string bytes(reinterpret_cast<const char*>(bson_get_data(&only)), only.len);
  bson_destroy(&only);
  return bytes;
}

void insert(const Command& command, bson_t& reply) {
  const std::lock_guard lock(ids_mutex);
  auto& there = ids[command.collection()];
  for (const std::string_view document : command.operations) there.insert(id_of(document));
  BSON_APPEND_INT32(&reply, "n", static_cast<int32_t>(command.operations.size()));
}

void update(const Command& command, bson_t& reply) {
  const std::lock_guard lock(ids_mutex);
  auto& there = ids[command.collection()];
  bson_t upserted;
  bson_init(&upserted);
  uint32_t made = 0;
  for (size_t i = 0; i < command.operations.size(); ++i) {
    bson_iter_t at;
    if (!find(command.operations[i], "q", at)) throw Broken{};
    const std::string id = id_of(document_at(at));
    if (!there.insert(id).second) continue;
    bson_t one;
    const std::string index = std::to_string(made++);
    BSON_APPEND_DOCUMENT_BEGIN(&upserted, index.c_str(), &one);
    BSON_APPEND_INT32(&one, "index", static_cast<int32_t>(i));
    BSON_APPEND_UTF8(&one, "_id", id.c_str());
    bson_append_document_end(&upserted, &one);
  }
  const auto all = static_cast<uint32_t>(command.operations.size());
  BSON_APPEND_INT32(&reply, "n", static_cast<int32_t>(all));
  BSON_APPEND_INT32(&reply, "nModified", static_cast<int32_t>(all - made));
  if (made > 0) BSON_APPEND_ARRAY(&reply, "upserted", &upserted);
  bson_destroy(&upserted);
}

void count(const Command& command, bson_t& reply) {
  const std::lock_guard lock(ids_mutex);
  BSON_APPEND_INT32(&reply, "n", static_cast<int32_t>(ids[command.collection()].size()));
}

void hello(bson_t& reply) {
  BSON_APPEND_BOOL(&reply, "helloOk", true);
  BSON_APPEND_BOOL(&reply, "ismaster", true);
  BSON_APPEND_BOOL(&reply, "isWritablePrimary", true);
  BSON_APPEND_INT32(&reply, "maxBsonObjectSize", 16 << 20);
  BSON_APPEND_INT32(&reply, "maxMessageSizeBytes", kMessageBytesMax);
  BSON_APPEND_INT32(&reply, "maxWriteBatchSize", 100'000);
  BSON_APPEND_INT32(&reply, "logicalSessionTimeoutMinutes", 30);
  BSON_APPEND_INT32(&reply, "minWireVersion", 0);
  BSON_APPEND_INT32(&reply, "maxWireVersion", 21);  // MongoDB 7.0
}

void empty_cursor(const Command& command, bson_t& reply) {
  bson_t cursor;
  bson_t none;
  BSON_APPEND_DOCUMENT_BEGIN(&reply, "cursor", &cursor);
  BSON_APPEND_INT64(&cursor, "id", 0);
  BSON_APPEND_UTF8(&cursor, "ns", command.collection().c_str());
  BSON_APPEND_ARRAY_BEGIN(&cursor, "firstBatch", &none);
  bson_append_array_end(&cursor, &none);
  bson_append_document_end(&reply, &cursor);
}

// Fills `reply`.
void answer(Command& command, bson_t& reply) {
  const std::string name = command.name();
  bool known = true;
  if (name == "insert") {
    command.add_array("documents");
    insert(command, reply);
  } else if (name == "update") {
    command.add_array("updates");
    update(command, reply);
  } else if (name == "count") {
    count(command, reply);
  } else if (name == "hello" || name == "isMaster" || name == "ismaster") {
    hello(reply);
  } else if (name == "find" || name == "listIndexes" || name == "listCollections") {
    empty_cursor(command, reply);
  } else if (name == "buildInfo" || name == "buildinfo") {
    BSON_APPEND_UTF8(&reply, "version", "7.0.0");
  } else {
    known = name == "ping" || name == "endSessions";
  }
  BSON_APPEND_DOUBLE(&reply, "ok", known ? 1 : 0);
  if (known) return;
  BSON_APPEND_INT32(&reply, "code", 59);
  BSON_APPEND_UTF8(&reply, "errmsg", ("no such command: " + name).c_str());
}

bool read_all(int socket, char* to, size_t bytes) {
  while (bytes > 0) {
    const ssize_t got = recv(socket, to, bytes, 0);
    if (got <= 0) return false;
    to += got;
    bytes -= static_cast<size_t>(got);
  }
  return true;
}

bool write_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

template <class T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string message(int32_t request, bool query, const bson_t& reply) {
  std::string out(sizeof(int32_t), '\0');
  append(out, int32_t{0});
  append(out, request);
  append(out, query ? kOpReply : kOpMsg);
  append(out, int32_t{0});  // flags
  if (query) {
    append(out, int64_t{0});  // cursor
    append(out, int32_t{0});  // starting from
    append(out, int32_t{1});  // documents
  } else {
    out += '\0';  // one section: a document
  }
  out.append(reinterpret_cast<const char*>(bson_get_data(&reply)), reply.len);
  const auto bytes = static_cast<int32_t>(out.size());
  std::memcpy(out.data(), &bytes, sizeof bytes);
  return out;
}

void serve(int socket) {
  std::vector<char> buffer;
  int32_t header[4];
  while (read_all(socket, reinterpret_cast<char*>(header), kHeaderBytes)) {
    const auto [length, request, in_reply_to, code] = header;
    if (length < static_cast<int32_t>(kHeaderBytes) || length > kMessageBytesMax) break;
    if (code != kOpMsg && code != kOpQuery) break;
    buffer.resize(static_cast<size_t>(length) - kHeaderBytes);
    if (!read_all(socket, buffer.data(), buffer.size())) break;
    bson_t reply;
    bson_init(&reply);
    bool good = true;
    try {
      const Bytes bytes({buffer.data(), buffer.size()});
      Command command = code == kOpMsg ? read_msg(bytes) : read_query(bytes);
      answer(command, reply);
    } catch (const Broken&) {
      good = false;
    }
    good = good && write_all(socket, message(request, code == kOpQuery, reply));
    bson_destroy(&reply);
    if (!good) break;
  }
  close(socket);
}

}  // namespace

int main() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener, 64) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::perror("mongo_sink");
    return 1;
  }
  std::printf("listening on mongodb://127.0.0.1:%d/\n", ntohs(address.sin_port));
  std::fflush(stdout);
  for (;;) {
    const int client = accept(listener, nullptr, nullptr);
    if (client < 0) return 1;
    std::thread(serve, client).detach();
  }
}
