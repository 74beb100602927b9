#!/usr/bin/env bash
# Kafka's command-line tools (kafka-topics.sh is one) into .deps/kafka-tools/: one jar from Maven Central, of the brokers' release, to be
# used beside .deps/kafka/4.4.0. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

artifact=org.apache.kafka:kafka-tools:4.4.0
root=.deps/kafka-tools
[ "$(cat "$root/.stamp" 2>/dev/null)" = "$artifact" ] && exit 0

scripts/setup-kafka.sh
echo "setup: fetching $artifact"
rm -rf "$root"
mkdir -p "$root"
scripts/retry.sh mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
  "-Dartifact=$artifact" "-DoutputDirectory=$PWD/$root"
echo "$artifact" > "$root/.stamp"
