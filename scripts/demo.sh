#!/usr/bin/env bash
# The whole pipeline on this machine, seen once: start it, push real photographs through a real model, look at what is stored.
# On a terminal it then stays up so that the page can be looked at; Ctrl-C ends it. Otherwise it ends by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

ca4=build/release/ca4
model=.deps/model/efficientnet_lite0.onnx
images=.deps/images/photos
data=${DEMO_DATA:-demo-data}
listen=${DEMO_LISTEN:-127.0.0.1:8000}

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

pid=
stop() {
  [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
  pid=
}
trap stop EXIT
trap 'exit 0' INT TERM

mkdir -p "$data"
say "1. ca4 up: processor, log, worker, store and archive in one process, data in $data/"
: >"$data/up.out" # the address of an earlier run must not be taken for this one's
"$ca4" up --data-dir "$data" --listen "$listen" --model "$model" --media-root "$images" \
  --archive-linger-ms 500 >"$data/up.out" 2>"$data/up.log" &
pid=$!
for _ in $(seq 100); do
  url=$(sed -n 's/^listening on //p' "$data/up.out")
  [ -n "$url" ] && break
  kill -0 "$pid" 2>/dev/null || { cat "$data/up.log" >&2; echo "Another address: DEMO_LISTEN=127.0.0.1:8001 make demo" >&2; exit 1; }
  sleep 0.1
done
[ -n "$url" ] || { echo "ca4 up did not become ready in 10 s; see $data/up.log" >&2; exit 1; }
echo "   $url"

say "2. ca4 produce: decode, embed with EfficientNet-Lite0, POST"
"$ca4" produce "$images" --endpoint "$url" --model "$model" --pipeline demo --journal "$data/produce.journal"

say "3. ca4 query: the stored documents"
# The worker is a moment behind the answer by design; wait until it has caught up.
for _ in $(seq 100); do
  lag=$(curl -fsS "$url/api/stats" | sed -E 's/.*"ca4-worker": ?([0-9]+).*/\1/')
  [ "$lag" = 0 ] && break
  sleep 0.1
done
"$ca4" query --data-dir "$data" --limit 10
echo
echo "   $("$ca4" query --data-dir "$data" --count) documents in all"

say "4. ca4 query --similar: the nearest neighbours of $images/chelsea.png, a cat"
"$ca4" query --data-dir "$data" --similar "$images/chelsea.png" --model-file "$model" -k 6

say "5. The archive, readable by pandas and NumPy"
for _ in $(seq 100); do
  [ -n "$(find "$data/archive" -name '*.npy' -print -quit 2>/dev/null)" ] && break
  sleep 0.1
done
find "$data/archive" -type f -printf '   %s bytes  %p\n' | sort -k3 | sed -n 1,5p

if [ -t 1 ]; then
  say "The page is at $url - Ctrl-C stops the demo (the data stays in $data/)"
  wait "$pid"
fi
