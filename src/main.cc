// The program: this table of what it can do; each line is src/cli/<name>.cc.
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdlib>

#include "cli/dispatch.h"
#include "cli/subcommand.h"
#include "ops/logging.h"

namespace {

using namespace ca4::cli;

constexpr Entry kCommands[] = {
    {"up", "the whole pipeline in one process, on embedded parts", make_up},
    {"serve", "the processor alone: HTTP in front of the event log", make_serve},
    {"work", "the worker alone: from the event log to store and archive", make_work},
    {"produce", "turn images into embeddings and send them", make_watched_produce},
    {"query", "find stored documents: by id, by filter, by likeness", make_query},
    {"log", "look into an embedded event log, also a damaged one", make_log},
    {"dlq", "what could not be stored, why, and its way back", make_dlq},
    {"replay", "fill the document store again, from the archive or the event log", make_replay},
    {"tunnel", "keep ports of a private network forwarded, through its bastion", make_tunnel},
    {"verify", "is everything there, and does an event get all the way?", make_verify},
    {"db", "make MongoDB's indexes; see whether it answers", make_db},
    {"topics", "the topics in Kafka: what there is, and making what there is not", make_topics},
    {"spool", "the outbox, where events wait while Kafka is away; import an old one", make_spool},
    {"token", "who may use a processor: make a token, list those there are", make_token},
    {"config", "show every setting, its value and where that comes from; check a file",
     make_config},
    {"top", "a running pipeline in the terminal: rates, latency, lag, spool, errors, GPUs",
     make_top},
    {"tap", "events as they pass: here, or by the admin port of a process elsewhere", make_tap},
    {"metrics", "every metric there is, and what it says", make_metrics},
    {"completion", "print the shell completion script for bash or zsh", make_completion},
};

// A core would hold database passwords, tokens and events, in whatever folder the process runs. The
// hard limit stays: who looks for a defect raises it (prlimit --core=unlimited --pid=PID). The
// process may be traced by its own user, who could read its files anyway.
void leave_no_core() {
  rlimit limit{};
  if (getrlimit(RLIMIT_CORE, &limit) != 0) return;
  limit.rlim_cur = 0;
  setrlimit(RLIMIT_CORE, &limit);
}

// ONNX Runtime's own builds, from 1.32 on, give the machine a lasting id and tell Microsoft about
// each session, and at exit wait for that. Here nothing leaves the machine but to where its user
// says; who wants to help with it sets the variable to 0.
void send_nobody_usage() {
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);
}

}  // namespace

int main(int argc, char** argv) {
  send_nobody_usage();  // first: no thread may be there yet that reads the environment
  leave_no_core();
  // What it makes is nobody else's business; the group is the administrator's to say.
  umask(umask(0) | S_IRWXO);
  // A tool's own words say what failed; of its libraries only what is serious is added, and never
  // to standard output. A service sets up its own.
  (void)ca4::ops::setup_logging("error", "text");
  return ca4::cli::dispatch(kCommands, argc, argv);
}
