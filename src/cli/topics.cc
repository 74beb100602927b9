// `ca4 topics`: the topics in Kafka. Nothing else of CA4 makes or changes one.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cli/common.h"
#include "cli/data_layout.h"
#include "cli/kafka_ports.h"
#include "cli/subcommand.h"
#include "log/kafka_topics.h"

namespace ca4::cli {
namespace {

using Json = nlohmann::ordered_json;
using log::TopicPlan;
using log::TopicState;

constexpr int kReplicasMax = 3;  // one may be away for maintenance while another fails
// What a broker counts besides key and value: headers, and its own frame.
constexpr int64_t kRecordOverheadBytes = 64 * config::kKiB;

// A topic as it is now, and how it came to be so.
struct Row {
  std::string topic;
  std::string state;  // "ok", "missing", "leaderless", "created", "grown", "differs"
  TopicState found;
  std::vector<std::string> differs;

  bool good() const { return state == "ok" || state == "created" || state == "grown"; }
};

// A setting of the topic that is less than wanted, with the way to change it; none otherwise.
std::vector<std::string> lower(const TopicPlan& plan, const char* key, int64_t has,
                               int64_t wanted) {
  if (has >= wanted) return {};
  return {fmt::format(
      "{0} is {1} instead of {2}: kafka-configs.sh --alter --topic {3} --add-config {0}={2}", key,
      has, wanted, plan.name)};
}

// Events that the settings let through, and the topic refuses.
std::vector<std::string> lower_limit(const TopicState& found, const TopicPlan& plan) {
  return lower(plan, "max.message.bytes", found.record_bytes_max, plan.record_bytes_max);
}

// What of a topic is less than wanted. More is never wrong.
std::vector<std::string> differences(const TopicState& found, const TopicPlan& plan) {
  std::vector<std::string> all = lower_limit(found, plan);
  if (found.partitions < plan.partitions) {
    all.push_back(fmt::format("{} partitions instead of {}: --grow adds the rest, for good",
                              found.partitions, plan.partitions));
  }
  if (found.replicas < plan.replicas) {
    all.push_back(fmt::format("{} replicas instead of {}: kafka-reassign-partitions.sh adds some",
                              found.replicas, plan.replicas));
  }
  const std::vector<std::string> in_sync =
      lower(plan, "min.insync.replicas", found.min_insync, plan.min_insync);
  all.insert(all.end(), in_sync.begin(), in_sync.end());
  return all;
}

Result<std::vector<TopicPlan>> plans(const config::Settings& settings, int brokers) {
  const config::Kafka& kafka = settings.kafka;
  TopicPlan events;
  events.name = settings.log.topic;
  events.partitions = static_cast<int>(kafka.partitions);
  events.replicas =
      kafka.replicas > 0 ? static_cast<int>(kafka.replicas) : std::clamp(brokers, 1, kReplicasMax);
  events.min_insync =
      kafka.min_insync > 0 ? static_cast<int>(kafka.min_insync) : std::max(events.replicas - 1, 1);
  events.record_bytes_max = kafka.record_bytes_max + kRecordOverheadBytes;
  if (events.min_insync > events.replicas) {
    return Status(Code::kConfig,
                  fmt::format("kafka.min_insync is {}, more than the {} replicas: nothing could be "
                              "written",
                              events.min_insync, events.replicas));
  }
  // Few letters, in one order, and none lost because nobody looked for a week.
  TopicPlan letters = events;
  letters.name = dead_letter_topic(settings);
  letters.partitions = 1;
  letters.keeps_forever = true;
  return std::vector<TopicPlan>{events, letters};
}

class Topics final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    flags_.add(app, {config::Section::kKafka}, {"log.topic"});
    app.add_flag("--json", json_, "print one JSON object");
    app.require_subcommand(1);
    ensure_ = add_command(app, "ensure",
                          "make the topic and that of its dead letters where they are not there; "
                          "exit code 1 when one is there and less than wanted");
    ensure_->add_flag("--grow", grow_, "add the partitions that a topic lacks; no way back");
    add_command(app, "list",
                "both topics as they are; exit code 1 when one can't be used, or takes smaller "
                "events than the settings say");
  }

  int run() override {
    const Result<config::Settings> settings = flags_.load();
    if (!settings) return report("topics", settings.status());
    if (settings->kafka.bootstrap.empty()) {
      return report("topics", {Code::kConfig,
                               "kafka.bootstrap is not set: the embedded log needs no topics"});
    }
    const char* who = ensure_->parsed() ? "topics ensure" : "topics list";
    return report(who, work(*settings));
  }

 private:
  Status work(const config::Settings& settings) {
    const SystemClock clock;
    const Result<log::KafkaOptions> options =
        kafka_options({settings, clock}, settings.log.topic, false);
    if (!options) return options.status();
    const Result<std::unique_ptr<log::KafkaTopics>> topics = log::KafkaTopics::open(*options);
    if (!topics) return topics.status();
    const Result<int> brokers = (*topics)->brokers();
    if (!brokers) return brokers.status();
    const Result<std::vector<TopicPlan>> wanted = plans(settings, *brokers);
    if (!wanted) return wanted.status();
    std::vector<Row> rows;
    for (const TopicPlan& plan : *wanted) {
      const Result<Row> row = ensure_->parsed() ? ensure(**topics, plan) : look(**topics, plan);
      if (!row) return row.status();
      rows.push_back(*row);
    }
    json_ ? print_json(*brokers, rows) : print_table(rows);
    if (std::all_of(rows.begin(), rows.end(), [](const Row& row) { return row.good(); })) {
      return Status::ok();
    }
    return {Code::kUnavailable, "not all is as wanted"};
  }

  static Result<Row> look(log::KafkaTopics& topics, const TopicPlan& plan) {
    const Result<TopicState> found = topics.describe(plan.name);
    if (!found) return found.status();
    Row row{plan.name, "ok", *found, {}};
    if (found->exists) row.differs = lower_limit(*found, plan);
    if (!row.differs.empty()) row.state = "differs";
    if (found->leaderless > 0) row.state = "leaderless";
    if (!found->exists) row.state = "missing";
    return row;
  }

  Result<Row> ensure(log::KafkaTopics& topics, const TopicPlan& plan) const {
    Result<Row> row = look(topics, plan);
    if (!row) return row;
    std::string done;
    Result<TopicState> changed = row->found;
    if (!row->found.exists) {
      changed = topics.create(plan);
      done = "created";
    } else if (grow_ && row->found.partitions < plan.partitions) {
      changed = topics.grow(plan.name, plan.partitions);
      done = "grown";
    }
    if (!changed) return changed.status();
    row->found = *changed;
    if (!done.empty()) row->state = done;
    row->differs = differences(row->found, plan);
    if (!row->differs.empty()) row->state = "differs";
    return row;
  }

  static void print_table(const std::vector<Row>& rows) {
    fmt::print("{:<24}  {:>10}  {:>8}  {:>10}  {:>16}  {}\n", "TOPIC", "PARTITIONS", "REPLICAS",
               "MIN-INSYNC", "RECORD-BYTES-MAX", "STATE");
    for (const Row& row : rows) {
      const auto text = [&](int64_t number) {
        return row.found.exists ? std::to_string(number) : std::string("-");
      };
      fmt::print("{:<24}  {:>10}  {:>8}  {:>10}  {:>16}  {}\n", row.topic,
                 text(row.found.partitions), text(row.found.replicas), text(row.found.min_insync),
                 text(row.found.record_bytes_max), row.state);
    }
    for (const Row& row : rows) {
      for (const std::string& what : row.differs) fmt::print("{}: {}\n", row.topic, what);
      if (row.state == "missing") fmt::print("{}: `ca4 topics ensure` makes it\n", row.topic);
      if (row.found.leaderless > 0) {
        fmt::print("{}: {} partitions have no leader: look at the brokers\n", row.topic,
                   row.found.leaderless);
      }
    }
  }

  static void print_json(int brokers, const std::vector<Row>& rows) {
    Json all = {{"brokers", brokers}, {"topics", Json::array()}};
    for (const Row& row : rows) {
      Json topic = {{"topic", row.topic}, {"state", row.state}};
      if (row.found.exists) {
        topic["partitions"] = row.found.partitions;
        topic["leaderless"] = row.found.leaderless;
        topic["replicas"] = row.found.replicas;
        topic["min_insync"] = row.found.min_insync;
        topic["record_bytes_max"] = row.found.record_bytes_max;
      }
      if (!row.differs.empty()) topic["differs"] = row.differs;
      all["topics"].push_back(std::move(topic));
    }
    fmt::print("{}\n", all.dump(-1, ' ', false, Json::error_handler_t::replace));
  }

  SettingsFlags flags_;
  bool json_ = false;
  bool grow_ = false;
  CLI::App* ensure_ = nullptr;
};

}  // namespace

std::unique_ptr<Subcommand> make_topics() {
  return std::make_unique<Topics>();
}

}  // namespace ca4::cli
