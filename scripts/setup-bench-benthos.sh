#!/usr/bin/env bash
# Benthos, the engine of Redpanda Connect, with an output to Kafka (bench/peers/benthos), built by the project's Go into .deps/bench/benthos.
# A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

source=bench/peers/benthos
root=.deps/bench/benthos
wanted=$(cat "$source"/go.mod "$source"/go.sum "$source"/main.go | sha256sum | cut -c1-16)
[ "$(cat "$root/.stamp" 2>/dev/null)" = "$wanted" ] && exit 0

scripts/setup-go.sh
echo "setup: building Benthos (a minute or two)"
mkdir -p "$root"
# Not the Go that the caller's environment may name.
env -u GOROOT -u GOFLAGS GOTOOLCHAIN=local CGO_ENABLED=0 .deps/go/bin/go build -C "$source" -trimpath -o "$PWD/$root/benthos" .
echo "$wanted" > "$root/.stamp"
