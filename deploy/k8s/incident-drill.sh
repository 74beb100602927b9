#!/usr/bin/env bash
# `make incident-drill DRILL=cluster`: the Kafka broker outage of docs/runbook.md on the cluster that KUBECONFIG names, through a running
# `ca4 tunnel`. The broker's pod is deleted: events wait in the processor's outbox until it is back. Asks first, or CONFIRM=kafka-0.
set -euo pipefail

ca4=${CA4_BINARY:-build/release/ca4}
ready_s=${CA4_DRILL_READY_S:-300} # as long as the StatefulSet's pods may take to start on a small node

step() { printf '\n%s  %s\n' "$(date +%T)" "$*"; }
verify() { for suite in kafka preflight workflow; do "$ca4" verify "$suite"; done; }

kubectl -n platform get statefulset/kafka >/dev/null || {
  echo "incident-drill: no StatefulSet kafka in namespace platform, or no cluster. Is KUBECONFIG (${KUBECONFIG:-not set}) right, the tunnel up?" >&2
  exit 1
}
if [ "${CONFIRM:-}" != kafka-0 ]; then
  [ -t 0 ] || { echo "incident-drill: this deletes pod kafka-0 of $(kubectl config current-context). CONFIRM=kafka-0 says yes." >&2; exit 1; }
  read -rp "This deletes pod kafka-0 of $(kubectl config current-context). Type kafka-0 to go on: " answer
  [ "$answer" = kafka-0 ] || exit 1
fi

step "before: everything must pass, or the drill would prove nothing"
verify
step "injection: the broker's pod is deleted"
kubectl -n platform delete pod kafka-0
step "detection: each of the three fails while the broker is away; one that is back at once is not noticed"
for suite in kafka preflight workflow; do "$ca4" verify "$suite" || true; done
step "recovery"
kubectl -n platform rollout restart statefulset/kafka
kubectl -n platform rollout status statefulset/kafka --timeout="${ready_s}s"
step "after: everything must pass"
verify
step "as the runbook says"
