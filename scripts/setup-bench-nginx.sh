#!/usr/bin/env bash
# Debian's nginx with its Lua module, unpacked into .deps/bench/nginx and not installed: the package would start a service. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/private-apt.sh
. scripts/private-apt.sh

packages=(nginx libnginx-mod-http-lua libnginx-mod-http-ndk lua-resty-core lua-resty-lrucache libluajit2-5.1-2 libpcre3)
root=.deps/bench/nginx
[ "$(cat "$root/.stamp" 2>/dev/null)" = "${packages[*]}" ] && exit 0

echo "setup: fetching nginx"
unpack_debian "$root" "${packages[@]}"
zcat "$root/usr/share/doc/nginx/changelog.Debian.gz" | sed -n '1s/.*(\(.*\)).*/\1/p' >"$root/.version"
echo "${packages[*]}" >"$root/.stamp"
