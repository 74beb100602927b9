#!/usr/bin/env bash
# What the Python wheel is built with, into .deps/wheel: a libcurl that does HTTP and HTTPS and nothing else (Debian's brings 25 more
# libraries, which the wheel would have to carry), static, built from Debian's source package; and the headers of CPython 3.13, from
# which one module for Python 3.12 and everything later is built (the stable ABI), whatever Python the machine has. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/private-apt.sh
. scripts/private-apt.sh

curl_version=7.88.1
python_version=3.13
root=.deps/wheel
wanted="curl $curl_version python $python_version $(sha256sum scripts/setup-wheel.sh | cut -c1-16)"
[ "$(cat "$root/.stamp" 2>/dev/null)" = "$wanted" ] && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$PWD

fetch_python_headers() {
  local apt
  mapfile -t apt < <(private_apt "$work/trixie" deb trixie)
  apt-get -qq "${apt[@]}" update
  (cd "$work" && apt-get -qq "${apt[@]}" download "libpython$python_version-dev")
  dpkg -x "$work"/libpython"$python_version"-dev_*.deb "$work/python"
  mkdir -p "$work/new/python-headers"
  # pyconfig.h is a file that includes the one of the architecture.
  cp -r "$work/python/usr/include/." "$work/new/python-headers/"
}

build_curl() {
  local apt
  mapfile -t apt < <(private_apt "$work/source" deb-src bookworm)
  apt-get -qq "${apt[@]}" update
  (cd "$work" && apt-get -qq "${apt[@]}" source curl >/dev/null)
  local ccache=()
  command -v ccache >/dev/null && ccache=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
  # ccache knows a file again only under the same path.
  rm -rf "$root/curl-source" && mkdir -p "$root" && mv "$work/curl-$curl_version" "$root/curl-source"
  # No arc4random: glibc has it only since 2.36, Colab's is 2.35. The certificates' place is that of Debian and Ubuntu; the
  # program names others.
  cmake -S "$root/curl-source" -B "$work/build" -G Ninja "${ccache[@]}" -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$work/new" \
    -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_SHARED_LIBS=OFF -DBUILD_CURL_EXE=OFF -DBUILD_TESTING=OFF -DENABLE_MANUAL=OFF \
    -DHTTP_ONLY=ON -DCURL_USE_OPENSSL=ON -DCURL_ZLIB=OFF -DCURL_BROTLI=OFF -DCURL_ZSTD=OFF -DUSE_NGHTTP2=OFF -DUSE_LIBIDN2=OFF \
    -DCURL_USE_LIBSSH2=OFF -DCURL_USE_LIBPSL=OFF -DCURL_USE_GSSAPI=OFF -DCURL_DISABLE_LDAP=ON -DHAVE_ARC4RANDOM=OFF \
    -DCURL_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt >"$work/curl.log" 2>&1 || { cat "$work/curl.log" >&2; return 1; }
  cmake --build "$work/build" >"$work/curl.log" 2>&1 || { tail -50 "$work/curl.log" >&2; return 1; }
  cmake --install "$work/build" >/dev/null
  cp "$root/curl-source/COPYING" "$work/new/"
  rm -rf "$root/curl-source"
}

echo "setup: building what the Python wheel needs"
fetch_python_headers
build_curl
cd "$here"
rm -rf "$root"
mkdir -p "$root"
cp -r "$work"/new/. "$root/"
echo "$wanted" > "$root/.stamp"
