-- wrk script: POSTs the events of a file, a line each, in turn, and prints the outcome as one JSON
-- line. Environment: EVENTS_FILE, EVENTS_A_REQUEST, CONTENT_TYPE, TARGET (path).
local bodies = {}
local requests = {}
local next_request = 0

local batch = {}
for line in io.lines(assert(os.getenv("EVENTS_FILE"))) do
  batch[#batch + 1] = line
  if #batch == tonumber(os.getenv("EVENTS_A_REQUEST")) then
    bodies[#bodies + 1] = table.concat(batch, "\n")
    batch = {}
  end
end

function init()
  for i, body in ipairs(bodies) do
    requests[i] = wrk.format("POST", os.getenv("TARGET"), {["Content-Type"] = os.getenv("CONTENT_TYPE")}, body)
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "p999_ms": %.3f, "failed": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
