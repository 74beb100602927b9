#!/usr/bin/env bash
# Debian's nginx with its Lua module, unpacked into .deps/bench/nginx and not installed: the package would start a service. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(nginx libnginx-mod-http-lua libnginx-mod-http-ndk lua-resty-core lua-resty-lrucache libluajit2-5.1-2 libpcre3)
root=.deps/bench/nginx
[ "$(cat "$root/.stamp" 2>/dev/null)" = "${packages[*]}" ] && exit 0

echo "setup: fetching nginx"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# apt's download user cannot read a private directory; signatures are checked all the same.
download() { (cd "$work" && apt-get -qq -oAPT::Sandbox::User=root download "${packages[@]}"); }
download 2>/dev/null || { apt-get -qq update && download; }
rm -rf "$root"
for package in "$work"/*.deb; do dpkg -x "$package" "$root"; done
dpkg-deb --field "$work"/nginx_*.deb Version >"$root/.version"
echo "${packages[*]}" >"$root/.stamp"
