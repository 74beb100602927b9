#include "ops/metric_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace ca4::ops {
namespace {

using enum MetricKind;

// From a parse alone to a broker's time limit.
constexpr double kAnswerSeconds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                     0.1,    0.25,  0.5,    1,     2.5,  5,     10};
// From a group commit and a poll to an outage of an hour.
constexpr double kEndToEndSeconds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,  1,
                                       2.5,   5,    10,    30,   60,  300,  1800, 3600};
constexpr double kBatchSeconds[] = {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100};
constexpr double kCommandSeconds[] = {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30};
// An archive object on a far bucket and a slow uplink takes seconds.
constexpr double kPutSeconds[] = {0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100};
constexpr double kRequestEvents[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
constexpr double kBatchRecords[] = {1, 4, 16, 64, 256, 512, 1024, 4096};
// From one event of 2048 floats to the worker's limit, and the archiver's.
constexpr double kBatchBytes[] = {16384, 65536, 262144, 1048576, 4194304, 8388608, 33554432};

// clang-format off: a row a metric
constexpr MetricRow kProcessor[] = {
    {"ca4_events_total", kCounter, "result",
     "events received: `accepted` (durable), `refused` (the client's fault), `failed` (ours, answered 503)"},
    {"ca4_request_events", kHistogram, "",
     "events in a request: 1, or the lines of a batch", kRequestEvents},
    {"ca4_durable_seconds", kHistogram, "place",
     "time to durable, from a checked request's append to the acknowledgement: in the embedded `log`, in `kafka`, or in the `outbox`", kAnswerSeconds},
    {"ca4_http_requests_total", kCounter, "route,code",
     "requests answered; `route` is a path of the API, or `other`"},
    {"ca4_http_request_seconds", kHistogram, "route",
     "from a complete request to its answer", kAnswerSeconds},
    {"ca4_http_refused_total", kCounter, "code",
     "requests and connections refused before they had a route: limits, bad syntax, too slow, a large body without a token"},
    {"ca4_auth_refused_total", kCounter, "reason",
     "requests that no token let in: `missing`, `unknown`, `scope` (not for this), `rate` (too many with one), `attempts` (too many wrong ones from an address)"},
    {"ca4_http_connections", kGauge, "", "connections open now"},
};

constexpr MetricRow kEventLog[] = {
    {"ca4_log_queue_appends", kGauge, "", "appends that wait for the disk or the brokers"},
    {"ca4_log_used_bytes", kGauge, "",
     "bytes the embedded log holds: pages in use at its last checkpoint, and the records since"},
    {"ca4_log_max_bytes", kGauge, "", "where it takes no more: 503 until workers catch up"},
    {"ca4_lag_records", kGauge, "group,partition",
     "records of the partition that the group has not committed yet; `ca4-archiver` commits once it has written an object, so it lags by `archive.linger_ms` at rest"},
};

constexpr MetricRow kOutbox[] = {
    {"ca4_outbox_state", kGauge, "state",
     "1 at the state it is in: `direct` (events go to Kafka), `turning`, `spooling` (they wait on disk), `returning`; the two between last a moment"},
    {"ca4_outbox_records", kGauge, "", "events that wait: acknowledged, and not yet in Kafka"},
    {"ca4_outbox_age_seconds", kGauge, "", "age of the oldest of them; 0 when none waits"},
    {"ca4_outbox_bytes", kGauge, "", "bytes in use, with what was delivered and is about to be deleted"},
    {"ca4_outbox_max_bytes", kGauge, "", "where it takes no more: 503 until Kafka is back"},
    {"ca4_outbox_spooled_total", kCounter, "", "events taken into the outbox"},
    {"ca4_outbox_given_up_total", kCounter, "",
     "of them, events that Kafka had too, without an answer in time: it may have them twice"},
    {"ca4_outbox_forwarded_total", kCounter, "", "events sent on to Kafka"},
    {"ca4_outbox_refused_total", kCounter, "",
     "events of the outbox that Kafka refused for good, or that the disk has damaged: see `ca4 dlq "
     "list --outbox`"},
    {"ca4_outbox_turns_total", kCounter, "", "how often events had to go to the outbox"},
};

constexpr MetricRow kWorker[] = {
    {"ca4_documents_total", kCounter, "result",
     "events given to the store: `inserted`, `updated`, `stale` (an older version of what is there), `unchanged` (delivered again)"},
    {"ca4_dead_letters_total", kCounter, "stage,reason",
     "events that can't be stored, kept with their reason. `stage` `decode`: `unreadable`; `transform`: the field that is wrong, as `embedding`, or `metadata` as a whole; `store`: `refused`"},
    {"ca4_end_to_end_seconds", kHistogram, "",
     "from an event's acceptance until it is in the database", kEndToEndSeconds},
    {"ca4_batch_records", kHistogram, "group", "records in a batch", kBatchRecords},
    {"ca4_batch_bytes", kHistogram, "group", "bytes of a batch's records, keys and values", kBatchBytes},
    {"ca4_batch_process_seconds", kHistogram, "group",
     "from a polled batch to its committed offsets, retries included", kBatchSeconds},
    {"ca4_batch_age_seconds", kGauge, "group",
     "age of the oldest record of the batch in hand; 0 with none in hand. It grows while database or archive is away"},
    {"ca4_retries_total", kCounter, "group,step",
     "failed steps that were tried again; `step` is `open`, `poll`, `store`, `dead_letter`, `commit`, `rewind`, `archive_encode` or `archive_put`"},
    {"ca4_step_failing", kGauge, "group,step", "1 while that step fails and is tried again, else 0"},
};

constexpr MetricRow kArchive[] = {
    {"ca4_archive_objects_total", kCounter, "", "objects put into the archive"},
    {"ca4_archive_bytes_total", kCounter, "", "their bytes"},
    {"ca4_archive_put_seconds", kHistogram, "result",
     "one put of an object, to S3 or the folder, the client's own short retries included: `ok`, or `failed` and so tried again later", kPutSeconds},
    {"ca4_archive_requests_total", kCounter, "result",
     "requests to the S3 bucket: `ok`, `not_found`, `throttled` (asked to be slower), `server_error`, `refused` (keys, rights, settings), `unreachable` (no answer, or one that breaks off)"},
    {"ca4_archive_skipped_records_total", kCounter, "",
     "records that can't be transformed and so are not archived"},
};

constexpr MetricRow kKafka[] = {
    {"ca4_kafka_up", kGauge, "", "1 while the brokers answer and have the topic, else 0"},
};

constexpr MetricRow kMongo[] = {
    {"ca4_mongo_command_seconds", kHistogram, "command",
     "from a command sent to MongoDB to its answer: `update`, `find`, `getMore`, `aggregate`, `count`, `ping`, …", kCommandSeconds},
    {"ca4_mongo_command_failures_total", kCounter, "command", "commands that got an error or no answer"},
};

constexpr MetricRow kProducer[] = {
    {"ca4_producer_given_images", kGauge, "", "images that the run was given"},
    {"ca4_producer_images_total", kCounter, "result",
     "images done with: `sent` (acknowledged in this run), `already_sent` (in the journal, or the same picture twice), `skipped` (broken or refused)"},
    {"ca4_producer_pending_images", kGauge, "stage",
     "images on their way: `embed` (read; decoded, waiting for the model, or in it), `send` (embedded and not acknowledged yet)"},
    {"ca4_producer_requests_total", kCounter, "code",
     "requests to the processor by the status of their answer; `none`: no answer came"},
    {"ca4_producer_request_seconds", kHistogram, "",
     "from a request's first byte to its answer, or to giving it up", kCommandSeconds},
    {"ca4_gpu_utilization_ratio", kGauge, "gpu,uuid,name",
     "share of the last second or less in which a kernel ran (dcgm-exporter: `DCGM_FI_DEV_GPU_UTIL`)"},
    {"ca4_gpu_memory_copy_ratio", kGauge, "gpu,uuid,name",
     "share in which its memory was read or written (`DCGM_FI_DEV_MEM_COPY_UTIL`)"},
    {"ca4_gpu_memory_used_bytes", kGauge, "gpu,uuid,name", "in use by all processes (`DCGM_FI_DEV_FB_USED`)"},
    {"ca4_gpu_memory_free_bytes", kGauge, "gpu,uuid,name", "not in use (`DCGM_FI_DEV_FB_FREE`)"},
    {"ca4_gpu_temperature_celsius", kGauge, "gpu,uuid,name", "of the chip (`DCGM_FI_DEV_GPU_TEMP`)"},
    {"ca4_gpu_power_watts", kGauge, "gpu,uuid,name", "drawn by the board (`DCGM_FI_DEV_POWER_USAGE`)"},
    {"ca4_gpu_sm_clock_hertz", kGauge, "gpu,uuid,name", "of the multiprocessors (`DCGM_FI_DEV_SM_CLOCK`)"},
    {"ca4_gpu_memory_clock_hertz", kGauge, "gpu,uuid,name", "of the memory (`DCGM_FI_DEV_MEM_CLOCK`)"},
};

constexpr MetricRow kProcess[] = {
    {"ca4_build_info", kGauge, "version,command", "always 1"},
    {"process_cpu_seconds_total", kCounter, "", "user and system CPU time"},
    {"process_resident_memory_bytes", kGauge, "", "memory in RAM"},
    {"process_open_fds", kGauge, "", "open descriptors"},
    {"process_start_time_seconds", kGauge, "", "start, Unix time"},
};

constexpr MetricSection kSections[] = {
    {"Processor", "In `serve` and `up`. Worth an alert: `rate(ca4_events_total{result=\"failed\"}[5m]) > 0`.", kProcessor},
    {"Event log",
     "In `serve`, `work` and `up`. With Kafka every process tells of all partitions, so take `max by (group, partition)` before a sum. Worth an alert: a lag that grows for minutes, `ca4_log_used_bytes / ca4_log_max_bytes > 0.8`.",
     kEventLog},
    {"Outbox",
     "Where `serve` or `up` has one in front of Kafka. Worth an alert: `ca4_outbox_age_seconds > 300` (Kafka is away, or slower than the events come), `ca4_outbox_bytes / ca4_outbox_max_bytes > 0.8`, `increase(ca4_outbox_refused_total[1h]) > 0`.",
     kOutbox},
    {"Worker",
     "In `work` and `up`. `group` is `ca4-worker` (the database) or `ca4-archiver`. Worth an alert: `ca4_step_failing == 1` for minutes, `increase(ca4_dead_letters_total[1h]) > 0`.",
     kWorker},
    {"Archive", "In `work` and `up`, unless the archive is switched off.", kArchive},
    {"Kafka", "With events in Kafka only.", kKafka},
    {"MongoDB", "With the document store on MongoDB only.", kMongo},
    {"Producer",
     "In `produce`, as long as it runs. `ca4_gpu_*` of every NVIDIA GPU whose driver answers, sampled once a second; what a driver does not say is missing.",
     kProducer},
    {"Process", "In all of them.", kProcess},
};
// clang-format on

constexpr std::string_view kIntro = R"(# Metrics

`GET /metrics`, in Prometheus' text format, on the admin port (`admin.listen`) of `serve`, `work`, `up` and `produce`, and on the public port of `serve` and `up`. Times are in seconds, sizes in bytes, shares from 0 to 1. Rates and percentiles are for Prometheus to make:
`rate(ca4_events_total[1m])`, `histogram_quantile(0.99, sum by (le) (rate(ca4_durable_seconds_bucket[5m])))`. Labels have few values: never an id, never a path of a client.

This page is `ca4 metrics --doc markdown`; a test keeps the two in step.
)";

// "`group`, `partition`"
std::string labels_cell(std::string_view labels) {
  std::string out;
  while (!labels.empty()) {
    const size_t end = std::min(labels.find(','), labels.size());
    fmt::format_to(std::back_inserter(out), "{}`{}`", out.empty() ? "" : ", ",
                   labels.substr(0, end));
    labels.remove_prefix(std::min(end + 1, labels.size()));
  }
  return out;
}

}  // namespace

std::string_view name_of(MetricKind kind) {
  switch (kind) {
    case kCounter:
      return "counter";
    case kGauge:
      return "gauge";
    case kHistogram:
      break;
  }
  return "histogram";
}

std::span<const MetricSection> metric_table() {
  return kSections;
}

const MetricRow& metric_row(std::string_view name) {
  for (const MetricSection& section : kSections) {
    for (const MetricRow& row : section.rows) {
      if (row.name == name) return row;
    }
  }
  fmt::print(stderr, "ca4: the metric {} is not in src/ops/metric_table.cc\n", name);
  std::abort();
}

std::string metrics_markdown() {
  std::string out(kIntro);
  std::string buckets;
  for (const MetricSection& section : kSections) {
    fmt::format_to(
        std::back_inserter(out),
        "\n## {}\n\n{}\n\n| metric | kind | labels | what it says |\n|---|---|---|---|\n",
        section.title, section.about);
    for (const MetricRow& row : section.rows) {
      fmt::format_to(std::back_inserter(out), "| `{}` | {} | {} | {} |\n", row.name,
                     name_of(row.kind), labels_cell(row.labels), row.help);
      if (row.buckets.empty()) continue;
      fmt::format_to(std::back_inserter(buckets), "| `{}` | {} |\n", row.name,
                     fmt::join(row.buckets, ", "));
    }
  }
  return out + "\n## Buckets\n\n| histogram | upper bounds |\n|---|---|\n" + buckets;
}

}  // namespace ca4::ops
