#!/usr/bin/env bash
# Debian's Prometheus, promtool, Alertmanager and node-exporter, unpacked into .deps/prometheus and not installed: the tests start their own,
# and the packages' services would start by themselves. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(prometheus prometheus-alertmanager prometheus-node-exporter)
root=.deps/prometheus
[ "$(cat "$root/.stamp" 2>/dev/null)" = "${packages[*]}" ] && exit 0

echo "setup: fetching Prometheus"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# apt's download user cannot read a private directory; signatures are checked all the same.
download() { (cd "$work" && apt-get -qq -oAPT::Sandbox::User=root download "${packages[@]}"); }
download 2>/dev/null || { apt-get -qq update && download; }
rm -rf "$root"
for package in "$work"/*.deb; do dpkg -x "$package" "$root"; done
echo "${packages[*]}" >"$root/.stamp"
