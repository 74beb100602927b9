#!/usr/bin/env bash
# scripts/fuzz.sh SECONDS [TARGET...]: builds the fuzzers and runs each for so long, as many at once as there are cores (JOBS). Inputs
# come from fuzz/corpus/TARGET and from build/fuzz/corpus/TARGET, which also takes new ones; what is found is left in build/fuzz/found.
# `scripts/fuzz.sh merge` puts into fuzz/corpus what of the new ones adds coverage, small ones first, and keeps crash-*, which have found
# something. Ends with 1 when one found something.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?usage: scripts/fuzz.sh SECONDS|merge [TARGET...]}
shift
out=build/fuzz
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for file in fuzz/*.cc; do targets+=("$(basename "$file" .cc)"); done
fi
mkdir -p build
scripts/build.sh fuzz "${targets[@]/#/fuzz_}" >build/fuzz.build.log || { cat build/fuzz.build.log; exit 1; }

# Seconds are long for inputs of this size; but a run with the lowest priority may wait for the processor a hundred times as long.
limits=(-timeout=900 -rss_limit_mb=2048 -max_len=4096)
# With SEED the same inputs come in the same order, so that a test does not fail today for what it might have found yesterday.
[ -z "${SEED:-}" ] || limits+=("-seed=$SEED")
# What is freed is kept unused for longer than an input takes, not until it is 256 MiB: those pages would be most of a short run's work.
export ASAN_OPTIONS=quarantine_size_mb=16${ASAN_OPTIONS:+:$ASAN_OPTIONS}
# Logs are written anew for each input: no disk waits for them.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm

one() {
  local target=$1 options=() code=0
  case $target in
    event_json | kafka_value | csv_outbox | ndjson) options=(-dict=fuzz/json.dict) ;;
    config_file | http_head) options=("-dict=fuzz/$target.dict") ;;
  esac
  # Its log keeps records between inputs, which libFuzzer takes for leaks and looks through the memory after each: so only at the end.
  [ "$target" != ndjson ] || options+=(-detect_leaks=0)
  mkdir -p "$out/corpus/$target" "$out/found/$target" "fuzz/corpus/$target"
  local TIMEFORMAT='%U %S'
  {
    time "$out/fuzz/fuzz_$target" "${limits[@]}" "${options[@]}" -max_total_time="$seconds" -print_final_stats=1 \
      -artifact_prefix="$out/found/$target/" "$out/corpus/$target" "fuzz/corpus/$target" >"$out/$target.log" 2>&1 || code=$?
  } 2>"$out/$target.time"
  return "$code"
}

merge() {
  local target=$1 merged
  merged=$(mktemp -d)
  "$out/fuzz/fuzz_$target" "${limits[@]}" -set_cover_merge=1 "$merged" "fuzz/corpus/$target" "$out/corpus/$target" >"$out/$target.merge.log" 2>&1
  find "fuzz/corpus/$target" -name 'crash-*' -exec cp -t "$merged" {} +
  rm -rf "fuzz/corpus/$target"
  mv "$merged" "fuzz/corpus/$target"
  chmod 755 "fuzz/corpus/$target"
}

report() {
  local target=$1 log=$out/$1.log
  local runs coverage added processor_s
  runs=$(awk '/stat::number_of_executed_units/ {print $2}' "$log")
  coverage=$(grep -oE 'cov: [0-9]+' "$log" | tail -1 | cut -d' ' -f2)
  added=$(awk '/stat::new_units_added/ {print $2}' "$log")
  processor_s=$(awk '{printf "%.1f", $1 + $2}' "$out/$target.time")
  printf '%-14s %10s runs in %5s s of a processor, coverage %6s, %5s new inputs\n' \
    "$target" "${runs:-0}" "$processor_s" "${coverage:-?}" "${added:-0}"
}

# The input itself is printed: of a machine that is gone afterwards, the output is what is left.
report_found() {
  local target=$1 input
  tail -40 "$out/$target.log"
  input=$(sed -n 's/.*Test unit written to //p' "$out/$target.log" | tail -1)
  echo "FAILED: the fuzzer $target"
  [ -n "$input" ] || return 0
  echo "To see it again:"
  echo "  scripts/build.sh fuzz fuzz_$target"
  echo "  base64 -d <<<'$(base64 -w0 "$input")' >build/input"
  echo "  $out/fuzz/fuzz_$target build/input"
}

failed=0
if [ "$seconds" = merge ]; then
  for target in "${targets[@]}"; do merge "$target"; done
  exit
fi
running=0
declare -A pids=()
for target in "${targets[@]}"; do
  if [ "$running" -ge "${JOBS:-$(nproc)}" ]; then
    wait -n || true
    running=$((running - 1))
  fi
  one "$target" &
  pids[$target]=$!
  running=$((running + 1))
done
for target in "${targets[@]}"; do
  if wait "${pids[$target]}"; then
    report "$target"
  else
    failed=1
    report_found "$target"
  fi
done
exit "$failed"
