// The producer's whole way: files -> decode pool -> model -> requests -> journal.
//
//   decode threads --bounded queue of tensors--> model lanes --bounded requests--> processor
//
// The decode pool runs ahead, so that a lane has its next batch the moment it is done with one;
// while it computes, the requests of the batches before are on their way.
#pragma once

#include <atomic>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "producer/embedder.h"
#include "producer/image.h"
#include "producer/image_source.h"
#include "producer/item_id.h"
#include "producer/journal.h"
#include "producer/payload.h"
#include "producer/sender.h"

namespace ca4::producer {

struct PipelineOptions {
  IdTemplate id_template;  // sender.notify is told, once, when it gives two pictures one id
  std::string endpoint;    // part of what makes an item "already sent", or what it says it is
  RunFacts run;
  // The gpu_hardware block as it is now, a JSON object. Any thread.
  std::function<std::string()> gpu_hardware_json;
  SenderOptions sender;
  size_t batch_images = 8;
  size_t decode_threads = 2;
  // Far above any photograph; keeps a wrong path (a video, a disk image) out of memory.
  size_t file_bytes_max = 256 << 20;
  DecodeLimits decode;
};

// How far a run is. Written by the pipeline, read by whoever shows it.
struct Progress {
  std::atomic<size_t> sent = 0;          // acknowledged in this run
  std::atomic<size_t> already_sent = 0;  // in the journal, or the same picture twice in this run
  std::atomic<size_t> skipped = 0;       // broken or refused
  std::atomic<size_t> embedding = 0;     // on their way: read, and without their embedding yet
  std::atomic<size_t> sending = 0;       // on their way: embedded, and not settled yet

  size_t settled() const { return sent + already_sent + skipped; }
};

struct Skipped {
  std::string path;
  std::string reason;
};

struct Report {
  size_t files = 0;  // that there are, or where that is not known: that were taken
  size_t sent = 0;
  size_t already_sent = 0;
  std::vector<Skipped>
      skipped;  // files that are no readable images, and what the processor refused
  double wall_s = 0;
  double model_busy_s = 0;  // of wall_s, how long the model computed, in however many lanes
  // Ok; kCancelled after a stop; otherwise why the run ended early. What was acknowledged until
  // then is in the journal.
  Status status;
};

// Returns when all is settled, or early after a failure or a requested stop; then what was already
// decoded is still embedded and sent, once. After `abandon` is requested too, what is not embedded
// yet is dropped; give the transport the same token.
Report run_pipeline(const PipelineOptions& options, ImageSource& source, Embedder& embedder,
                    Transport& transport, Journal& journal, const Clock& clock, Progress& progress,
                    std::stop_token stop, std::stop_token abandon = {});

}  // namespace ca4::producer
