#!/usr/bin/env bash
# Puts one half of CA4 into the cluster of .kube/kubeconfig.yaml, from the outputs in .ca4/. Safe to run again.
#
#   apply.sh platform             namespaces, Kafka and its topics; waits until they are ready
#   apply.sh edge                 secrets and settings, then the worker; waits for the roll-out
#   apply.sh monitoring           Prometheus, Alertmanager, Loki, Alloy, Grafana and exporters (docs/monitoring.md); waits for Grafana
#   apply.sh render platform|edge|monitoring
#                                 prints what would be applied, but for a webhook that only the cluster knows, and applies nothing
#
#   CA4_OVERLAY   folder of deploy/k8s/overlays (k3s, k3s-ha, dev)
#   CA4_IMAGE     image of ca4 in a registry, with a tag or digest; not set: that of this tree, brought to the nodes over SSH
#   CA4_TOKENS_FILE, CA4_PRODUCER_TOKEN_FILE    tokens that the processor in the cluster takes; the one that deploy/k8s/gpu-job sends
#   MONGO_URI     a database of your own; otherwise DocumentDB, or with CA4_OVERLAY=dev the MongoDB in the cluster
#   CA4_METRICS_BUCKET, CA4_LOGS_BUCKET    monitoring: S3 buckets for Thanos and for Loki; not set: those in use, or their disks alone; set to
#                                          nothing: their disks alone
#   CA4_BUCKETS_REGION                     their region; otherwise that of the outputs
#   CA4_ALERT_WEBHOOK                      monitoring: the URL that alerts are sent to; said once, the cluster keeps it
#   CA4_DOCS_URL                           monitoring: where this tree can be read in a browser; alerts link to its docs/ there
set -euo pipefail
cd "$(dirname "$0")/../.."

state=${CA4_STATE_DIR:-.ca4}
overlay=deploy/k8s/overlays/${CA4_OVERLAY:-k3s}
image=${CA4_IMAGE:-ca4:0.1.0}
pod_annotations= # of the edge's pods: what makes them roll out where their manifests stay the same
webhook=${CA4_ALERT_WEBHOOK:+yes} # whether alerts are sent to somebody
export KUBECONFIG=${KUBECONFIG:-.kube/kubeconfig.yaml}
# Amazon's certificate authorities, for DocumentDB's TLS.
database_ca_url=https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem

die() { echo "apply: $*" >&2; exit 1; }

outputs() {
  [ -f "$state/outputs.env" ] || die "$state/outputs.env is not there: run \`make ca4-apply\` first"
  # shellcheck source=/dev/null
  . "$state/outputs.env"
}

# The overlay with the image and the account's values, as a Kustomization of its own.
render() { # HALF
  [ -d "$overlay/$1" ] || die "there is no $overlay/$1; overlays: $(cd deploy/k8s/overlays && echo */platform | sed 's#/platform##g')"
  local folder=$state/kustomize/$1 name=${image%[:@]*} version
  case "$image" in
    *@*) version="digest: ${image#*@}" name=${image%@*} ;;
    *:*) version="newTag: \"${image##*:}\"" ;;
    *) die "CA4_IMAGE is '$image': give a tag or a digest, so that every pod runs the same" ;;
  esac
  mkdir -p "$folder"
  # From the state folder to the overlay: kustomize takes no absolute path.
  cat > "$folder/kustomization.yaml" <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [$(realpath --relative-to="$folder" "$overlay/$1")]
images: [{name: ca4, newName: $name, $version}]
END
  if [ "$1" = edge ]; then
    outputs
    cat >> "$folder/kustomization.yaml" <<END
patches:
  - target: {kind: ConfigMap, name: ca4-settings}
    patch: |
      - {op: add, path: /data/CA4_ARCHIVE_S3_BUCKET, value: "${ca4_s3_bucket:?}"}
      - {op: add, path: /data/CA4_ARCHIVE_S3_REGION, value: "${ca4_region:?}"}
END
  fi
  if [ -n "$pod_annotations" ]; then
    cat >> "$folder/kustomization.yaml" <<END
  - target: {kind: Deployment|StatefulSet}
    patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: each}
      spec: {template: {metadata: {annotations: {$pod_annotations}}}}
END
  fi
  .deps/kustomize/kustomize build "$folder"
}

answers() { kubectl get --raw /readyz --request-timeout=10s >/dev/null; }

# A cluster behind our bastion is reached by the tunnel that comes with the processor: it is started where it does not run.
need_cluster() {
  command -v kubectl >/dev/null || die "kubectl is not installed (https://kubernetes.io/docs/tasks/tools/)"
  [ -f "$KUBECONFIG" ] || die "$KUBECONFIG is not there: run \`make ca4-bootstrap-k3s\` first"
  echo "apply: into the cluster of $KUBECONFIG" >&2
  if answers 2>/dev/null; then return; fi
  [ -f "$state/ca4.toml" ] || die "the cluster of $KUBECONFIG does not answer, and there is no $state/ca4.toml to make a tunnel by (make ca4-apply)"
  echo "apply: the cluster does not answer; make run-local-processor, for its tunnel" >&2
  make run-local-processor >&2
  answers || die "the cluster does not answer through the tunnel: does K3s run? (make status-local-processor; ssh -F $state/ssh_config ca4-node-1 systemctl status k3s)"
}

# A Secret from files or standard input, never from arguments: those are seen by everybody on this machine.
secret() { # NAMESPACE NAME kubectl-create-arguments...
  kubectl create secret generic "$2" --namespace "$1" "${@:3}" --dry-run=client --output yaml | kubectl apply --filename -
}

# Whether it is there. No answer is not a no: that would make new passwords over those in use.
has_secret() { # NAMESPACE NAME
  local found
  found=$(kubectl get secret "$2" --namespace "$1" --ignore-not-found --output name) || die "the cluster does not say whether there is a Secret $2: try again"
  [ -n "$found" ]
}

mongo_dev_password() {
  local password
  password=$(kubectl get secret ca4-mongo-dev --namespace platform --output 'jsonpath={.data.password}' | base64 --decode) || password=
  [ -n "$password" ] ||
    die "the cluster gives no password of its MongoDB (Secret ca4-mongo-dev): try again, or make it with CA4_OVERLAY=dev make ca4-platform-setup"
  printf '%s' "$password"
}

mongo_uri() {
  local password
  if [ -n "${MONGO_URI:-}" ]; then
    printf '%s' "$MONGO_URI"
  elif [ "${CA4_OVERLAY:-k3s}" = dev ]; then
    password=$(mongo_dev_password) || return
    printf 'mongodb://ca4:%s@mongo.platform.svc.cluster.local:27017/?authSource=admin' "$password"
  else
    .deps/venv/bin/python deploy/aws/cloud.py mongo-uri
  fi
}

platform() {
  need_cluster
  kubectl apply --filename deploy/k8s/base/namespaces/namespaces.yaml
  if [ "${CA4_OVERLAY:-k3s}" = dev ] && ! has_secret platform ca4-mongo-dev; then
    printf 'username=ca4\npassword=%s\n' "$(openssl rand -hex 20)" | secret platform ca4-mongo-dev --from-env-file=/dev/stdin
  fi
  # A finished Job can't be changed; making topics again changes nothing.
  kubectl delete job kafka-topics --namespace platform --ignore-not-found
  render platform | kubectl apply --filename -
  kubectl rollout status statefulset/kafka --namespace platform --timeout=10m
  kubectl wait job/kafka-topics --namespace platform --for=condition=Complete --timeout=15m
}

edge_secrets() {
  local uri
  uri=$(mongo_uri)
  printf 'MONGO_URI=%s\n' "$uri" | secret app ca4-database --from-env-file=/dev/stdin
  if [[ "$uri" == *tlsCAFile=* ]]; then
    curl --fail --silent --show-error --location --max-time 60 "$database_ca_url" |
      kubectl create configmap ca4-database-ca --namespace app --from-file=global-bundle.pem=/dev/stdin --dry-run=client --output yaml |
      kubectl apply --filename -
  fi
  if [ -n "${CA4_TOKENS_FILE:-}" ]; then secret app ca4-processor-tokens --from-file="tokens=$CA4_TOKENS_FILE"; fi
  if [ -n "${CA4_PRODUCER_TOKEN_FILE:-}" ]; then secret app ca4-producer-token --from-file="token=$CA4_PRODUCER_TOKEN_FILE"; fi
  if [ -n "${CA4_TLS_CERT_FILE:-}" ]; then
    kubectl create secret tls ca4-processor-tls --namespace app --cert="$CA4_TLS_CERT_FILE" --key="${CA4_TLS_KEY_FILE:?}" \
      --dry-run=client --output yaml | kubectl apply --filename -
  fi
}

# What an overlay takes for granted, said before it is applied: a pod without its Secret waits without a word.
need_for() { # MANIFESTS
  if grep -q '^kind: ScaledObject' <<<"$1" && ! kubectl get crd scaledobjects.keda.sh >/dev/null 2>&1; then
    die "CA4_OVERLAY=${CA4_OVERLAY:-k3s} scales workers by KEDA, which this cluster does not have: install it into the namespace keda (https://keda.sh/docs/latest/deploy/)"
  fi
  local name variable
  while read -r name variable; do
    if grep -q "secretName: $name" <<<"$1" && ! kubectl get secret "$name" --namespace app >/dev/null 2>&1; then
      die "CA4_OVERLAY=${CA4_OVERLAY:-k3s} has the processor in the cluster: $variable must be set once, for its Secret $name (docs/scaling.md)"
    fi
  done <<<$'ca4-processor-tokens CA4_TOKENS_FILE\nca4-processor-tls CA4_TLS_CERT_FILE'
}

# What pods read once, when they start: ConfigMaps of the manifests, by their content; what edge_secrets made, by the version that the
# cluster gives to each content, which says nothing about it.
settings_digest() { # MANIFESTS
  local versions
  versions=$(kubectl get secret/ca4-database secret/ca4-processor-tokens configmap/ca4-database-ca --namespace app --ignore-not-found \
    --output 'jsonpath={range .items[*]}{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}') || return
  { echo "$versions"; awk -v RS='\n---\n' '/(^|\n)kind: ConfigMap(\n|$)/' <<<"$1"; } | sha256sum | cut -d' ' -f1
}

edge() {
  local manifests digest
  need_cluster
  kubectl apply --filename deploy/k8s/base/namespaces/namespaces.yaml
  if [ -z "${CA4_IMAGE:-}" ]; then
    make image-archive >&2
    # Its tag stays the same until the version changes.
    digest=$(deploy/k3s/image.sh "build/image/ca4/ca4-${image#*:}.tar")
    pod_annotations="ca4/image-digest: \"$digest\", "
  fi
  edge_secrets
  manifests=$(render edge)
  need_for "$manifests"
  digest=$(settings_digest "$manifests")
  pod_annotations+="ca4/settings-digest: \"$digest\""
  manifests=$(render edge)
  kubectl apply --filename - <<<"$manifests"
  kubectl rollout status deployment/worker --namespace app --timeout=10m
  if grep -q '^kind: StatefulSet' <<<"$manifests"; then kubectl rollout status statefulset/processor --namespace app --timeout=10m; fi
}

# The rules with CA4_DOCS_URL before each runbook_url: by themselves these are paths in this tree, which no browser can follow.
linked_rules() { # FOLDER
  [[ "$CA4_DOCS_URL" =~ ^https?://[A-Za-z0-9._~:/%@+-]+$ ]] ||
    die "CA4_DOCS_URL is '$CA4_DOCS_URL': give the http(s) URL of the folder that has docs/ in it, without ? and #"
  rm -rf "$1"
  mkdir -p "$1"
  local rules
  for rules in deploy/monitoring/rules/*.yaml; do
    sed "s|^\( *runbook_url: \)docs/|\1${CA4_DOCS_URL%/}/docs/|" "$rules" > "$1/${rules##*/}"
  done
}

# deploy/monitoring with the components that are asked for, as a Kustomization of its own.
render_monitoring() {
  local folder=$state/kustomize/monitoring base components="" generators=""
  mkdir -p "$folder"
  base=$(realpath --relative-to="$folder" deploy/monitoring)
  bucket() { # COMPONENT CONFIG_MAP BUCKET REGION
    [ -n "$3" ] || return 0
    local region=${CA4_BUCKETS_REGION:-$4}
    if [ -z "$region" ]; then
      outputs
      region=${ca4_region:?}
    fi
    components+="$base/components/$1, "
    generators+="{name: $2, namespace: monitoring, literals: [\"S3_BUCKET=$3\", \"S3_REGION=$region\"]}, "
  }
  bucket thanos metrics-bucket "${CA4_METRICS_BUCKET:-}" "${metrics_region:-}"
  bucket loki-s3 logs-bucket "${CA4_LOGS_BUCKET:-}" "${logs_region:-}"
  if [ -n "$webhook" ]; then components+="$base/components/alert-webhook, "; fi
  if [ -n "${CA4_DOCS_URL:-}" ]; then
    linked_rules "$folder/rules"
    generators+="{name: prometheus-rules, namespace: monitoring, behavior: merge, files: [$(cd "$folder" && printf '%s, ' rules/*.yaml)]}, "
  fi
  cat > "$folder/kustomization.yaml" <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [$base]
components: [$components]
configMapGenerator: [$generators]
END
  .deps/kustomize/kustomize build "$folder"
}

monitoring_secrets() {
  if ! has_secret monitoring grafana-admin; then
    printf 'password=%s\nkey=%s\n' "$(openssl rand -hex 16)" "$(openssl rand -hex 32)" | secret monitoring grafana-admin --from-env-file=/dev/stdin
  fi
  if [ -n "${CA4_ALERT_WEBHOOK:-}" ]; then
    printf '%s' "$CA4_ALERT_WEBHOOK" | secret monitoring alert-webhook --from-file=url=/dev/stdin
  fi
}

# Who is told of alerts is told on: that is the cluster's to say, and not whether the variable is set in the shell of the day.
keep_webhook() {
  if [ -n "$webhook" ] || ! has_secret monitoring alert-webhook; then return; fi
  webhook=yes
  echo "apply: alerts go on to the address in the Secret alert-webhook; docs/monitoring.md says how to end that" >&2
}

# "BUCKET REGION" that a container of monitoring uses; nothing where it uses none.
bucket_in_use() { # STATEFULSET CONTAINER
  local map
  map=$(kubectl get statefulset "$1" --namespace monitoring --ignore-not-found \
    --output "jsonpath={.spec.template.spec.containers[?(@.name==\"$2\")].envFrom[0].configMapRef.name}") || return
  [ -z "$map" ] || kubectl get configmap "$map" --namespace monitoring --output 'jsonpath={.data.S3_BUCKET} {.data.S3_REGION}'
}

# Likewise where metrics and logs go: without their bucket, metrics older than two weeks would be gone, and logs not be found.
keep_buckets() {
  local found unknown="the cluster does not say which buckets are in use: try again, or set CA4_METRICS_BUCKET and CA4_LOGS_BUCKET"
  if [ -z "${CA4_METRICS_BUCKET+set}" ]; then
    found=$(bucket_in_use prometheus thanos-sidecar) || die "$unknown"
    read -r CA4_METRICS_BUCKET metrics_region <<<"$found"
    [ -z "$found" ] || echo "apply: metrics go on to the bucket $CA4_METRICS_BUCKET; CA4_METRICS_BUCKET= (nothing) ends that" >&2
  fi
  if [ -z "${CA4_LOGS_BUCKET+set}" ]; then
    found=$(bucket_in_use loki loki) || die "$unknown"
    read -r CA4_LOGS_BUCKET logs_region <<<"$found"
    [ -z "$found" ] || echo "apply: logs go on to the bucket $CA4_LOGS_BUCKET; CA4_LOGS_BUCKET= (nothing) ends that" >&2
  fi
}

monitoring() {
  local manifests
  need_cluster
  keep_webhook
  keep_buckets
  manifests=$(render_monitoring)
  .deps/kustomize/kustomize build deploy/k8s/base/namespaces | kubectl apply --filename -
  monitoring_secrets
  kubectl apply --filename - <<<"$manifests"
  kubectl rollout status statefulset/prometheus --namespace monitoring --timeout=10m
  kubectl rollout status statefulset/grafana --namespace monitoring --timeout=10m
  echo "Grafana: http://127.0.0.1:3000 through the tunnel, user admin; its password:"
  echo "  kubectl get secret grafana-admin --namespace monitoring --output 'jsonpath={.data.password}' | base64 --decode"
}

case "${1:-}" in
  platform | edge | monitoring) "$1" ;;
  render)
    case "${2:?platform, edge or monitoring}" in
      monitoring) render_monitoring ;;
      *) render "$2" ;;
    esac
    ;;
  *) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
