#!/usr/bin/env bash
# Debian's cloud-init, unpacked into .deps/cloud-init and not installed: the tests want its schema of user data, and a machine that is
# no cloud server wants none of its services. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

root=.deps/cloud-init
[ -e "$root/.stamp" ] && exit 0

echo "setup: fetching cloud-init"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# apt's download user cannot read a private directory; signatures are checked all the same.
download() { (cd "$work" && apt-get -qq -oAPT::Sandbox::User=root download cloud-init); }
download 2>/dev/null || { apt-get -qq update && download; }
rm -rf "$root"
dpkg -x "$work"/cloud-init_*.deb "$root"
touch "$root/.stamp"
