// instructions DIR: fixed work of each component that an event passes, for counting instructions
// under callgrind (bench/instructions.py): what is counted is what happens within functions named
// measured_*. No clock and no random number decides what is done; DIR, for the log's file, is
// empty. After the process's first event: memory and statements are there.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>

#include "documents.h"
#include "log/memory_log.h"
#include "log/records_file.h"
#include "log/wire_values.h"
#include "ops/metrics.h"
#include "payloads.h"
#include "processor/processor.h"
#include "store/bson_document.h"
#include "worker/transform.h"

// Neither inlined nor cloned, so that callgrind finds them by their names.
#define CA4_MEASURED extern "C" __attribute__((noipa)) void

namespace {

using namespace ca4;
using bench::must;
using bench::must_be_ok;

constexpr int64_t kNowUs = 1'800'000'000'000'000;
constexpr int kRepeats = 32;
constexpr size_t kBatch = 64;

// The result of what is measured, so that it is not left out.
size_t used = 0;

struct Parsing {
  std::string json;
  event::Parser parser;
  event::Event event;
  event::Refusal why;

  void once() {
    if (!parser.parse(json, event, why)) must_be_ok({Code::kInternal, why.reason});
    event.ingested_at_us = kNowUs;
    event.version = static_cast<uint64_t>(kNowUs);
    used += event::encode(event).size();
  }
};

// The processor with a log in memory, from a request to its answer.
struct Accepting {
  ManualClock clock{kNowUs};
  ops::Metrics metrics{"1", "serve"};
  ops::Traffic traffic;
  log::MemoryLog log{{}, clock};
  processor::Processor processor{log, clock, metrics.registry(), traffic, {}};
  http::Router router;
  std::string body;

  Accepting() {
    processor.add_routes(router, [](http::Handler inner) { return inner; });
    for (size_t i = 0; i < kBatch; ++i) body += bench::base64_json(fmt::format("id-{}", i)) + "\n";
  }

  http::Request request() const {
    http::Request request;
    request.method = "POST";
    request.path = "/metadata/batch";
    request.headers.emplace_back("Content-Type", "application/x-ndjson");
    request.body_capacity = body.size() + event::Parser::kPaddingBytes;
    request.body_data = std::make_unique<char[]>(request.body_capacity);
    std::memcpy(request.body_data.get(), body.data(), body.size());
    request.body_bytes = body.size();
    return request;
  }

  void handle(http::Request request) const {
    router.route(std::move(request), [](const http::Response& response) {
      if (response.status != 200) must_be_ok({Code::kInternal, response.body});
      used += response.body.size();
    });
  }
};

// The file under the embedded log and the outbox; counted is what this process does, the kernel's
// fsync is not in it.
struct Appending {
  std::unique_ptr<log::RecordsFile> file;
  std::vector<log::PendingAppend> group{kBatch};

  Appending(const std::string& dir, const std::string& record)
      : file(must(log::RecordsFile::open(must(log::log_paths(dir, "gpu-metadata")), 0))) {
    for (size_t i = 0; i < kBatch; ++i) {
      group[i].records = {{fmt::format("id-{}", i), record, {}}};
      group[i].bytes = record.size();
    }
  }
  void once() const {
    must_be_ok(file->append(group, kNowUs));
    must_be_ok(file->checkpoint_if_due());
  }
};

store::Document document_of(const std::string& value) {
  store::Document document;
  worker::Failure failure;
  const log::Record record{{0, 7}, kNowUs, "img-cat-1700000000", value, {}};
  if (!worker::to_document(record, "gpu-metadata", kNowUs, document, failure)) {
    must_be_ok({Code::kInternal, failure.reason});
  }
  return document;
}

struct Inputs {
  Parsing json{bench::padded(bench::python_json()), {}, {}, {}};
  Parsing base64{bench::padded(bench::base64_json()), {}, {}, {}};
  Accepting accepting;
  http::Request request;
  std::string record;
  std::string wire;
  std::unique_ptr<Appending> appending;
  store::Document document;
  store::BsonEncoder encoder{store::MongoEmbedding::kArray};
  store::BsonPtr bson;
};
Inputs* in = nullptr;

}  // namespace

CA4_MEASURED measured_json_event() {
  for (int i = 0; i < kRepeats; ++i) in->json.once();
}
CA4_MEASURED measured_base64_event() {
  for (int i = 0; i < kRepeats; ++i) in->base64.once();
}
CA4_MEASURED measured_batch_of_64() {
  in->accepting.handle(std::move(in->request));
}
CA4_MEASURED measured_append_64() {
  in->appending->once();
}
CA4_MEASURED measured_record_decode() {
  for (int i = 0; i < kRepeats; ++i) used += event::decode(in->record).value().dim;
}
CA4_MEASURED measured_kafka_value() {
  for (int i = 0; i < kRepeats; ++i) {
    used += event::to_wire_json(event::decode(in->record).value()).size();
  }
}
CA4_MEASURED measured_document_of_json() {
  for (int i = 0; i < kRepeats; ++i) used += document_of(in->wire).embedding.size();
}
CA4_MEASURED measured_document_of_record() {
  for (int i = 0; i < kRepeats; ++i) used += document_of(in->record).embedding.size();
}
CA4_MEASURED measured_bson() {
  for (int i = 0; i < kRepeats; ++i) {
    must_be_ok(in->encoder.encode(in->document, *in->bson));
    used += in->bson->len;
  }
}

CA4_MEASURED measured_nothing() {}

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: instructions DIR\n");
    return 2;
  }
  const auto inputs = std::make_unique<Inputs>();
  in = inputs.get();
  in->json.once();
  in->base64.once();
  in->record = event::encode(in->base64.event);
  in->wire = event::to_wire_json(event::view_of(in->json.event));
  in->document = document_of(in->record);
  (void)document_of(in->wire);
  must_be_ok(in->encoder.encode(in->document, *in->bson));
  in->accepting.handle(in->accepting.request());
  in->request = in->accepting.request();
  in->appending = std::make_unique<Appending>(argv[1], in->record);
  in->appending->once();

  const struct {
    const char* name;
    void (*run)();
    size_t events;
  } all[] = {{"json_event", measured_json_event, kRepeats},
             {"base64_event", measured_base64_event, kRepeats},
             {"batch_of_64", measured_batch_of_64, kBatch},
             {"append_64", measured_append_64, kBatch},
             {"record_decode", measured_record_decode, kRepeats},
             {"kafka_value", measured_kafka_value, kRepeats},
             {"document_of_json", measured_document_of_json, kRepeats},
             {"document_of_record", measured_document_of_record, kRepeats},
             {"bson", measured_bson, kRepeats}};
  for (const auto& component : all) component.run();
  measured_nothing();
  for (const auto& [name, run, events] : all) std::printf("%s %zu\n", name, events);
  return used == 0 ? 1 : 0;
}
