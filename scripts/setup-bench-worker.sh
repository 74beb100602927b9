#!/usr/bin/env bash
# The peers that `ca4 work` is measured against, into .deps/bench/worker: kafka-python with pymongo (PyPI), and Kafka Connect with MongoDB's
# sink connector (Maven). A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

root=.deps/bench/worker
sources=(bench/peers/requirements-worker.txt bench/peers/pom-connect.xml scripts/setup-bench-worker.sh)
wanted=$(cat "${sources[@]}" | sha256sum | cut -c1-16)
[ "$(cat "$root/.stamp" 2>/dev/null)" = "$wanted" ] && exit 0

echo "setup: installing the worker's peers for the benchmark"
rm -rf "$root"
mkdir -p "$root"
/usr/bin/python3 -m venv "$root/venv"
"$root/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input -r bench/peers/requirements-worker.txt
scripts/retry.sh mvn --quiet --batch-mode --file bench/peers/pom-connect.xml dependency:copy-dependencies \
  -DincludeScope=runtime "-DoutputDirectory=$PWD/$root/connect"
echo "$wanted" >"$root/.stamp"
