// The page of one CA4 process: asks /api each second and draws what it says.

import {getJson, Problem} from "./api.js";
import {allowImages, refreshDocuments, startDocuments} from "./documents.js";
import {$, ago, duration, element, milliseconds, number, reconcile, sparkline, text} from "./draw.js";

const kStatsEveryMs = 1000;
const kDocumentsEveryMs = 3000;
const kElsewhere = "not in this process";

// Of a figure that is not there: whether its part is elsewhere, or here and away; the reason is in the notice.
const missing = (ready, part) => ready === null ? kElsewhere : `unknown while the ${part} is away`;

const sum = (values) => values.reduce((a, b) => a + b, 0);

function showTraffic(traffic) {
  if (!traffic) {
    for (const id of ["rate", "p99"]) text(id, "–");
    for (const id of ["rate-note", "p99-note"]) text(id, kElsewhere);
    return;
  }
  const rates = traffic.map((second) => second.accepted);
  const slow = traffic.map((second) => second.p99_ms);
  const refused = sum(traffic.map((second) => second.refused));
  const failed = sum(traffic.map((second) => second.failed));
  const last = traffic.at(-1);
  const busy = traffic.findLast((second) => second.p99_ms > 0);
  text("rate", number(last.accepted));
  text("rate-note", `${number(sum(rates))} accepted in the last minute` +
    (refused ? `, ${number(refused)} refused` : "") + (failed ? `, ${number(failed)} failed` : ""));
  text("p99", busy ? milliseconds(busy.p99_ms) : "–");
  text("p99-note", busy
    ? `half within ${milliseconds(busy.p50_ms)}${busy === last ? "" : `, ${ago(busy.t + 1)}`}`
    : "nothing received in the last minute");
  sparkline("rate-line", rates,
    `Events a second in the last minute: now ${number(last.accepted)}, at most ${number(Math.max(...rates))}`);
  sparkline("p99-line", slow,
    `99th percentile of the latency in the last minute: at most ${milliseconds(Math.max(...slow))}`);
}

function showCounts(stats) {
  const given = (value) => (value === null ? "–" : number(value));
  text("documents", given(stats.documents));
  text("documents-note", stats.documents === null ? missing(stats.store_ready, "store") : "stored");
  // The first group writes the documents. The others may gather events on purpose, for large objects.
  const behind = Object.values(stats.lag ?? {})[0] ?? null;
  text("lag", given(behind));
  text("lag-note", behind === null ? missing(stats.log_ready, "log") : behind === 0 ? "all caught up" : "events accepted, not yet stored");
  text("dead", given(stats.dead_letters));
  text("dead-note", stats.dead_letters === null ? missing(stats.dead_letters_ready, "log")
    : stats.dead_letters > 0 ? "not replayed; see ca4 dlq list"
      : stats.dead_letters_total > 0 ? `all ${number(stats.dead_letters_total)} replayed` : "none so far");
  $("dead").closest(".tile").classList.toggle("bad", stats.dead_letters > 0);
  text("connections", given(stats.connections));
  text("connections-note", stats.connections === null ? kElsewhere : "open now");
}

function line({name, note, waiting}) {
  return element("tr", {},
    element("th", {scope: "row"}, name, element("span", {className: "quiet"}, note)),
    element("td", {className: "number"}, waiting));
}

function outboxNote({state, age_s}) {
  if (state === "direct") return "events go to Kafka directly";
  return "events on disk that Kafka does not have yet" + (age_s === null ? "" : `, the oldest for ${duration(age_s)}`);
}

function showQueues(stats) {
  const rows = [];
  if (stats.queue_depth !== null) {
    const state = stats.log_ready === "ok" ? "requests waiting for the disk" : stats.log_ready;
    rows.push({name: "Event log", note: state, waiting: number(stats.queue_depth)});
  }
  if (stats.outbox !== null) {
    rows.push({name: "Outbox", note: outboxNote(stats.outbox), waiting: number(stats.outbox.waiting)});
  }
  for (const [group, lag] of Object.entries(stats.lag ?? {})) {
    rows.push({name: group, note: "events behind the log", waiting: lag === null ? "unknown" : number(lag)});
  }
  if (stats.dead_letters !== null) {
    rows.push({name: "Dead letters", note: "not replayed", waiting: number(stats.dead_letters)});
  }
  if (rows.length === 0) rows.push({name: "–", note: kElsewhere, waiting: ""});
  reconcile($("queues").tBodies[0], rows, (r) => r.name, (r) => `${r.waiting} ${r.note}`, line);
}

function showGpus({gpus, store_ready}) {
  const rows = (gpus ?? []).map((gpu) =>
    ({name: gpu.name, documents: number(gpu.documents), seen: ago(gpu.last_seen)}));
  if (rows.length === 0) {
    rows.push({name: gpus === null ? missing(store_ready, "store") : "none yet", documents: "", seen: ""});
  }
  reconcile($("gpus").tBodies[0], rows, (r) => r.name, (r) => `${r.documents} ${r.seen}`, (r) =>
    element("tr", {}, element("th", {scope: "row"}, r.name),
      element("td", {className: "number"}, r.documents), element("td", {className: "nowrap"}, r.seen)));
}

// Only a change is told, as the status is read aloud.
function showStatus(state, label) {
  if ($("status").dataset.state !== state || $("status").textContent !== label) {
    $("status").dataset.state = state;
    text("status", label);
  }
  document.body.classList.toggle("stale", state === "lost");
}

function showTrouble(stats) {
  const reasons = [];
  if (stats.log_ready !== null && stats.log_ready !== "ok") reasons.push(`The event log takes nothing: ${stats.log_ready}.`);
  if (stats.store_ready !== null && stats.store_ready !== "ok") reasons.push(`The document store: ${stats.store_ready}.`);
  // A turn or a return is over in a moment.
  if (stats.outbox?.state === "spooling" && stats.outbox.last_error) {
    reasons.push(`Kafka takes nothing, events wait in the outbox: ${stats.outbox.last_error}.`);
  }
  $("trouble").hidden = reasons.length === 0;
  text("trouble", reasons.join(" "));
}

async function refreshStats() {
  const stats = await getJson("/api/stats");
  text("process", `${stats.version} · up ${duration(stats.uptime_s)}`);
  showTraffic(stats.traffic);
  showCounts(stats);
  showQueues(stats);
  showGpus(stats);
  showTrouble(stats);
  allowImages(stats.search_by_image);
  const troubled = !$("trouble").hidden;
  showStatus(troubled ? "bad" : "live", troubled ? "in trouble" : "live");
}

// Calls `work` again and again, never twice at once and not while nobody looks.
function every(interval_ms, work) {
  let timer = null;
  let running = false;
  let again = false;
  async function turn() {
    clearTimeout(timer);
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      if (!document.hidden) await work();
    } catch (error) {
      // A server that says why it can't is still there; anything else is a lost connection, also a page of somebody else's in place of JSON.
      const lost = error.name === "TimeoutError" || error instanceof TypeError || error instanceof SyntaxError;
      if (error instanceof Problem) showStatus("bad", error.message);
      else if (lost) showStatus("lost", "connection lost");
      else throw error;
    } finally {
      running = false;
      timer = setTimeout(turn, again ? 0 : interval_ms);
      again = false;
    }
  }
  document.addEventListener("visibilitychange", turn);
  turn();
  return turn;
}

every(kStatsEveryMs, refreshStats);
startDocuments(every(kDocumentsEveryMs, refreshDocuments));
