#!/usr/bin/env bash
# scripts/image-rootfs.sh FOLDER [cuda]: the root file system of the container image, from the release build of this machine: ca4, the
# libraries that it loads, ONNX Runtime for `ca4 produce`, the certificate authorities, and a user. No shell, no package manager. With
# `cuda` ONNX Runtime is that for NVIDIA GPUs, with CUDA's libraries (2.4 GB); the driver's own come from the machine that runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
root=${1:?usage: scripts/image-rootfs.sh FOLDER [cuda]}
variant=${2:-cpu}
binary=build/release/ca4
onnx=.deps/onnxruntime/lib
umask 022
[ ! -e "$root" ] || { echo "image-rootfs: $root is there already" >&2; exit 1; }
[ -x "$binary" ] || { echo "image-rootfs: $binary is not there: run \`make build\`" >&2; exit 1; }

# Folders that are links in this Debian are links there too, so that every library is where the linker looks.
mkdir -p "$root"/{etc/ssl/certs,usr/bin,usr/lib/ssl,usr/lib64,usr/share/doc,proc,dev,tmp,var/lib}
for folder in bin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
chmod 1777 "$root/tmp"

cp "$binary" "$root/usr/bin/ca4"
strip --strip-unneeded "$root/usr/bin/ca4"

# Where the program looks first; CUDA's libraries where the linker looks by itself.
add_onnx() {
  cp -L "$onnx/libonnxruntime.so" "$root/usr/lib/libonnxruntime.so"
  for text in LICENSE ThirdPartyNotices.txt; do install -D -m 0644 "$onnx/$text" "$root/usr/share/doc/onnxruntime/$text"; done
}

add_onnx_cuda() {
  local gpu=.deps/onnxruntime-gpu requirements=scripts/requirements-cuda.txt
  if ! cmp -s "$requirements" "$gpu/requirements.txt"; then
    echo "image-rootfs: fetching ONNX Runtime and CUDA's libraries (2.4 GB)" >&2
    rm -rf "$gpu"
    # Without their own dependencies: those are Python's.
    .deps/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: --target "$gpu" -r "$requirements"
    cp "$requirements" "$gpu/requirements.txt"
  fi
  cp "$gpu"/onnxruntime/capi/libonnxruntime.so.* "$root/usr/lib/libonnxruntime.so"
  cp "$gpu"/onnxruntime/capi/libonnxruntime_providers_{cuda,shared}.so "$root/usr/lib/"
  mkdir -p "$root/usr/lib/x86_64-linux-gnu"
  find "$gpu/nvidia" -name 'lib*.so.*' -exec install -m 0644 -t "$root/usr/lib/x86_64-linux-gnu" {} +
  for text in "$gpu"/onnxruntime/{LICENSE,ThirdPartyNotices.txt}; do install -D -m 0644 "$text" "$root/usr/share/doc/onnxruntime/$(basename "$text")"; done
  find "$gpu" -path '*nvidia_*.dist-info/*' -iname 'license*' -type f | while read -r text; do
    install -D -m 0644 "$text" "$root/usr/share/doc/$(basename "${text%%.dist-info/*}")/copyright"
  done
}

case "$variant" in
  cpu) add_onnx ;;
  cuda) add_onnx_cuda ;;
  *) echo "image-rootfs: $variant is neither cpu nor cuda" >&2; exit 2 ;;
esac

mapfile -t libraries < <(ldd "$binary" "$onnx/libonnxruntime.so" | awk '/=> \// { print $3 } /^\t\// { print $1 }' | sort -u)
for library in "${libraries[@]}"; do install -D -m 0644 "$library" "$root/usr/${library#/usr/}"; done
# Debian's licence texts go with what they are about. Its database knows a file by one of two names, as /lib is a link.
mapfile -t files < <(realpath "${libraries[@]}" | sed 'p; s#^/usr##')
{ dpkg-query --search "${files[@]}" 2>/dev/null || true; } | cut -d: -f1 | sort -u | while read -r package; do
  install -D -m 0644 "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
done
# It is started by the kernel, not only read.
chmod 0755 "$root"/usr/lib64/ld-linux-*
install -D -m 0644 LICENSE "$root/usr/share/doc/ca4/LICENSE"

# Those of Debian's package alone: what this machine trusts besides is no business of other machines.
cat /usr/share/ca-certificates/mozilla/*.crt > "$root/etc/ssl/certs/ca-certificates.crt"
# Where OpenSSL looks by itself, for libraries that name no file.
ln -s ../../../etc/ssl/certs/ca-certificates.crt "$root/usr/lib/ssl/cert.pem"
ln -s ../../../etc/ssl/certs "$root/usr/lib/ssl/certs"

# The number that the Kubernetes manifests have.
echo 'nonroot:x:65532:65532:nonroot:/var/lib/ca4:/sbin/nologin' > "$root/etc/passwd"
echo 'nonroot:x:65532:' > "$root/etc/group"
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
mkdir "$root/var/lib/ca4"
chown 65532:65532 "$root/var/lib/ca4"
