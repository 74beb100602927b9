#!/usr/bin/env bash
# deploy/k3s/image.sh ARCHIVE: an image (`make image-archive`) on every node of .ca4/outputs.env, through the bastion, for a system without
# a registry. A node that has this very image is left alone. Prints the image's digest.
set -euo pipefail
cd "$(dirname "$0")/../.."
archive=${1:?usage: deploy/k3s/image.sh ARCHIVE}
state=${CA4_STATE_DIR:-.ca4}

[ -f "$state/outputs.env" ] || { echo "image: $state/outputs.env is not there: run \`make ca4-apply\` first" >&2; exit 1; }
# shellcheck source=/dev/null
. "$state/outputs.env"
IFS=, read -ra nodes <<<"${edge_node_private_ips:?}"
digest=$(tar -xOf "$archive" index.json | python3 -c 'import json, sys; print(json.load(sys.stdin)["manifests"][0]["digest"])')

on_node() { ssh -F "$state/ssh_config" -o BatchMode=yes "ca4-node-$1" "${@:2}"; }

for number in $(seq "${#nodes[@]}"); do
  images=$(on_node "$number" "sudo /usr/local/bin/k3s ctr images list" </dev/null)
  if grep -qF "$digest" <<<"$images"; then continue; fi
  echo "image: $archive to node $number" >&2
  on_node "$number" "sudo /usr/local/bin/k3s ctr images import -" < "$archive" >&2
done
echo "$digest"
