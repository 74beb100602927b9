#!/usr/bin/env bash
# Debian's Prometheus, promtool, Alertmanager and node-exporter, unpacked into .deps/prometheus and not installed: the tests start their own,
# and the packages' services would start by themselves. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/private-apt.sh
. scripts/private-apt.sh

packages=(prometheus prometheus-alertmanager prometheus-node-exporter)
root=.deps/prometheus
[ "$(cat "$root/.stamp" 2>/dev/null)" = "${packages[*]}" ] && exit 0

echo "setup: fetching Prometheus"
unpack_debian "$root" "${packages[@]}"
echo "${packages[*]}" >"$root/.stamp"
