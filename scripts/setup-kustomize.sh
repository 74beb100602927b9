#!/usr/bin/env bash
# kustomize (Apache-2.0) into .deps/kustomize/: the newest release that the project's Go builds.
set -euo pipefail
exec "$(dirname "$0")/setup-go-module.sh" .deps/kustomize sigs.k8s.io/kustomize/kustomize/v5@v5.8.2
