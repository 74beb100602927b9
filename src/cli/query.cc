// `ca4 query`: looks into the document store, also while the pipeline runs.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <filesystem>
#include <optional>

#include "base/clock.h"
#include "cli/common.h"
#include "cli/image_embedder.h"
#include "cli/ports.h"
#include "cli/query_print.h"
#include "cli/query_time.h"
#include "cli/subcommand.h"
#include "ops/logging.h"
#include "store/document_store.h"

namespace ca4::cli {
namespace {

using store::Document;

// The widths of a table come from its first lines, so that a long one need not be held in memory.
constexpr size_t kWidthRows = 500;

// 0 when standard output is no terminal: what reads it cuts for itself.
size_t terminal_width() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

// An empty text is not "no filter": a script's variable that is empty by mistake must not match
// everything.
CLI::Validator not_empty() {
  return {[](const std::string& text) { return text.empty() ? "must not be empty" : ""; }, ""};
}

// Writes documents one after the other in one of the formats.
class Printer {
 public:
  Printer(std::string format, bool with_embedding)
      : format_(std::move(format)), with_embedding_(with_embedding) {}

  // False when nobody reads any more.
  bool add(const Document& document, std::optional<double> cosine) {
    ++documents_;
    if (format_ == "table") return add_row(table_row(document, cosine));
    std::string json = document_json(document, cosine, with_embedding_);
    if (format_ == "ndjson") return output_.write(json += '\n');
    return output_.write(documents_ == 1 ? "[\n" : ",\n") && output_.write(json);
  }

  Status finish() {
    if (format_ == "json") output_.write(documents_ == 0 ? "[]\n" : "\n]\n");
    if (!table_ && !rows_.empty()) begin_table();
    return output_.finish();
  }

  size_t documents() const { return documents_; }

 private:
  bool add_row(TableRow row) {
    if (table_) return output_.write(table_->line(row));
    rows_.push_back(std::move(row));
    return rows_.size() < kWidthRows || begin_table();
  }

  bool begin_table() {
    table_.emplace(rows_, terminal_width());
    bool read = output_.write(table_->head());
    for (const TableRow& row : rows_) read = output_.write(table_->line(row));
    rows_.clear();
    return read;
  }

  const std::string format_;
  const bool with_embedding_;
  size_t documents_ = 0;
  std::vector<TableRow> rows_;  // held back until the widths are known
  std::optional<Table> table_;
  Output output_;
};

class Query final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    flags_.add(app, {config::Section::kGeneral, config::Section::kStore});
    define_filter(app);
    define_similar(app);
    app.add_option("--limit", limit_, "how many of the newest; 0: all [20]")
        ->type_name("N")
        ->check(whole_number(0, kLinesMax));
    app.add_flag("--count", count_, "print only how many there are");
    app.add_flag("--with-embedding", with_embedding_, "with the numbers, in ndjson and json");
    add_format(app, format_, {"table", "ndjson", "json"});
  }

  int run() override {
    const Result<config::Settings> settings = flags_.load();
    if (!settings) return report("query", settings.status());
    // Libraries that log must not do it between the documents.
    const Status logging = ops::setup_logging(settings->logging.level, settings->logging.format);
    if (!logging.is_ok()) return report("query", logging);
    // Writing tells that the reader went away; the signal would end the program as if it had
    // failed.
    std::signal(SIGPIPE, SIG_IGN);
    const SystemClock clock;
    const Result<std::unique_ptr<store::DocumentStore>> opened =
        open_store({*settings, clock}, true);
    if (!opened) return report("query", opened.status());
    return report("query", answer(**opened, *settings));
  }

 private:
  void define_filter(CLI::App& app) {
    const CLI::Validator time{[](const std::string& text) {
                                return parse_when(text, SystemClock().now_us()).status().message();
                              },
                              ""};
    const auto add = [&app](const char* flag, std::string& text, const char* help,
                            const char* type) {
      return app.add_option(flag, text, help)->type_name(type)->group("Which documents");
    };
    add("--id", id_, "the one of this metadata_id", "ID")->check(not_empty());
    add("--pipeline", pipeline_, "of this pipeline", "NAME")->check(not_empty());
    add("--device", device_, "whose GPU's name, or device, contains this", "TEXT")
        ->check(not_empty());
    add("--model", model_, "of this model_name", "NAME")->check(not_empty());
    add("--since", since_, "accepted at this time or later", "TIME")->check(time);
    add("--until", until_, "accepted before this time", "TIME")->check(time);
    app.footer(
        "TIME is how long ago, as 30s, 15m, 1h, 2d or 1w, or as 2026-11-23T18:00:00Z. The table's "
        "times\nare of this machine's zone (TZ).");
  }

  void define_similar(CLI::App& app) {
    const char* const group = "What looks alike";
    CLI::Option* similar =
        app.add_option("--similar", similar_,
                       "the nearest to this image file, or to this stored document (itself left "
                       "out), by cosine")
            ->type_name("IMAGE or ID")
            ->check(not_empty())
            ->group(group)
            ->excludes(app.get_option("--id"));
    app.add_option("-k,--neighbours", k_, "how many of the nearest [10]")
        ->type_name("N")
        ->check(whole_number(1, kLinesMax))
        ->group(group)
        ->needs(similar);
    app.add_option("--model-file", embed_.model_path,
                   "ONNX model that IMAGE is embedded with [producer.model]")
        ->type_name("FILE.onnx")
        ->group(group);
    app.add_option("--model-output", embed_.output, "which of its outputs [found]")
        ->type_name("NAME")
        ->group(group);
    app.add_option("--ort", embed_.ort_path, "ONNX Runtime's shared library [producer.ort]")
        ->type_name("FILE.so")
        ->group(group);
  }

  Result<store::Filter> filter() const {
    const auto given = [](const std::string& text) {
      return text.empty() ? std::nullopt : std::optional<std::string>(text);
    };
    store::Filter filter = {.metadata_id = given(id_),
                            .pipeline = given(pipeline_),
                            .device = given(device_),
                            .model = given(model_)};
    const int64_t now_us = SystemClock().now_us();
    for (const auto& [text, target] :
         {std::pair{&since_, &filter.from_us}, std::pair{&until_, &filter.until_us}}) {
      if (text->empty()) continue;
      const Result<int64_t> time_us = parse_when(*text, now_us);
      if (!time_us) return time_us.status();
      *target = *time_us;
    }
    return filter;
  }

  Status answer(store::DocumentStore& documents, const config::Settings& settings) {
    const Result<store::Filter> which = filter();
    if (!which) return which.status();
    if (count_) return print_count(documents, *which);
    Printer printer(format_, with_embedding_);
    Status status = similar_.empty() ? find(documents, *which, printer)
                                     : find_similar(documents, *which, settings, printer);
    if (Status written = printer.finish(); status.is_ok()) status = written;
    if (!status.is_ok() || printer.documents() > 0) return status;
    if (!id_.empty()) return {Code::kNotFound, fmt::format("no document '{}'", id_)};
    if (format_ != "table") return status;
    fmt::print(stderr, "{}\n",
               similar_.empty() ? "no documents"
                                : "no other document that is asked for has this one's dimension");
    return status;
  }

  Status print_count(store::DocumentStore& documents, const store::Filter& which) const {
    const Result<uint64_t> count = documents.count(which);
    if (!count) return count.status();
    Output output;
    output.write(format_ == "table" ? fmt::format("{}\n", *count)
                                    : fmt::format("{{\"count\":{}}}\n", *count));
    return output.finish();
  }

  Status find(store::DocumentStore& documents, const store::Filter& which, Printer& printer) const {
    const store::FindOptions options = {.limit = limit_,
                                        .with_embedding = with_embedding_ && format_ != "table"};
    return documents.find(which, options, [&](const Document& document) {
      return printer.add(document, std::nullopt);
    });
  }

  Status find_similar(store::DocumentStore& documents, const store::Filter& which,
                      const config::Settings& settings, Printer& printer) const {
    std::error_code ignored;
    const bool is_file = std::filesystem::is_regular_file(similar_, ignored);
    const Result<std::vector<float>> query =
        is_file ? embed(settings) : stored_embedding(documents, similar_);
    if (!query) return query.status();
    // One more than asked for: the document itself is among them, unless the filter leaves it out.
    Result<std::vector<store::Neighbour>> found =
        documents.similar(*query, is_file ? k_ : k_ + 1, which);
    if (!found) return found.status();
    if (!is_file) {
      std::erase_if(*found, [&](const auto& n) { return n.document.metadata_id == similar_; });
      if (found->size() > k_) found->pop_back();
    }
    for (store::Neighbour& neighbour : *found) {
      if (with_embedding_ && format_ != "table") {
        Result<std::vector<float>> embedding =
            stored_embedding(documents, neighbour.document.metadata_id);
        if (!embedding) return embedding.status();
        neighbour.document.embedding = std::move(*embedding);
      }
      if (!printer.add(neighbour.document, neighbour.cosine)) break;
    }
    return Status::ok();
  }

  Result<std::vector<float>> embed(const config::Settings& settings) const {
    EmbedOptions options = embed_;
    if (options.model_path.empty()) options.model_path = settings.producer.model;
    if (options.ort_path.empty()) options.ort_path = settings.producer.ort;
    if (options.model_path.empty()) {
      return Status(Code::kUsage, fmt::format("{} is a file: to look for what is like it, give the"
                                              " model it is to be embedded with (--model-file)",
                                              similar_));
    }
    const Result<std::unique_ptr<ImageEmbedder>> embedder = ImageEmbedder::open(options);
    if (!embedder) return embedder.status();
    return (*embedder)->embed_file(similar_);
  }

  static Result<std::vector<float>> stored_embedding(store::DocumentStore& documents,
                                                     const std::string& id) {
    std::optional<std::vector<float>> embedding;
    const Status status = documents.find({.metadata_id = id}, {.limit = 1, .with_embedding = true},
                                         [&](const Document& document) {
                                           embedding = document.embedding;
                                           return true;
                                         });
    if (!status.is_ok()) return status;
    if (embedding) return std::move(*embedding);
    return Status(Code::kNotFound, fmt::format("'{}' is neither a file nor a stored document", id));
  }

  SettingsFlags flags_;
  std::string id_, pipeline_, device_, model_, since_, until_;
  std::string similar_;
  size_t k_ = 10;  // two rows of a screen: what a person compares
  EmbedOptions embed_;
  size_t limit_ = 20;  // a screen
  bool count_ = false;
  bool with_embedding_ = false;
  std::string format_ = "table";
};

}  // namespace

std::unique_ptr<Subcommand> make_query() {
  return std::make_unique<Query>();
}

}  // namespace ca4::cli
