#!/usr/bin/env bash
# The pictures of the demo and the tests into .deps/images, made by scripts/make_images.py out of the photographs that the
# wheels of scikit-image and scikit-learn carry. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

skimage=scikit-image==0.26.0
sklearn=scikit-learn==1.9.1
root=.deps/images
wanted="$skimage $sklearn $(cat scripts/make_images.py scripts/requirements.txt | sha256sum | cut -c1-16)"
[ "$(cat "$root/.stamp" 2>/dev/null)" = "$wanted" ] && exit 0

scripts/setup-python.sh scripts/requirements.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "setup: fetching the photographs"
.deps/venv/bin/pip download --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: \
  --dest "$work" "$skimage" "$sklearn"
.deps/venv/bin/python scripts/make_images.py "$work"/scikit_image*.whl "$work"/scikit_learn*.whl "$work/images"
rm -rf "$root"
mkdir -p "$(dirname "$root")"
cp -r "$work/images" "$root"
echo "$wanted" > "$root/.stamp"
