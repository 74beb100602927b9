#!/usr/bin/env bash
# setup-go-module.sh ROOT MODULE@VERSION: a program into ROOT, built by the project's Go from its module, whose sources the Go checksum
# database vouches for. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$1
module=$2
[ "$(cat "$root/.stamp" 2>/dev/null)" = "$module" ] && exit 0

scripts/setup-go.sh
echo "setup: building $module (a minute or two)"
mkdir -p "$root"
# Not the Go that the caller's environment may name: GOROOT, GOTOOLCHAIN and GOFLAGS are its own matter.
env -u GOROOT -u GOFLAGS GOTOOLCHAIN=local CGO_ENABLED=0 GOBIN="$PWD/$root" .deps/go/bin/go install "$module"
echo "$module" > "$root/.stamp"
