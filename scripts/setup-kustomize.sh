#!/usr/bin/env bash
# kustomize (Apache-2.0) into .deps/kustomize/, built from its Go module, whose sources the Go checksum database vouches for: the newest
# release that the project's Go builds. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

module=sigs.k8s.io/kustomize/kustomize/v5@v5.8.2
root=.deps/kustomize
[ "$(cat "$root/.stamp" 2>/dev/null)" = "$module" ] && exit 0

scripts/setup-go.sh
echo "setup: building $module (a minute or two)"
mkdir -p "$root"
# Not the Go that the caller's environment may name: GOROOT, GOTOOLCHAIN and GOFLAGS are its own matter.
env -u GOROOT -u GOFLAGS GOTOOLCHAIN=local CGO_ENABLED=0 GOBIN="$PWD/$root" .deps/go/bin/go install "$module"
echo "$module" > "$root/.stamp"
