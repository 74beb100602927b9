-- wrk script: POSTs one file over and over and prints the outcome as one JSON line.
-- Environment: BODY_FILE, CONTENT_TYPE, TARGET (path).
local file = assert(io.open(os.getenv("BODY_FILE"), "rb"))
local body = file:read("*a")
file:close()
local request_text

function init()
  request_text = wrk.format("POST", os.getenv("TARGET"), {["Content-Type"] = os.getenv("CONTENT_TYPE")}, body)
end

function request()
  return request_text
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "failed": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
