#!/usr/bin/env bash
# What Kafka's image has besides .deps/kafka/4.4.0, into .deps/kafka-tools/, from Maven Central: its command-line tools (kafka-topics.sh is
# one), and what it logs through. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

# Of the release of the brokers, and of the Log4j that it brings.
artifacts=(org.apache.kafka:kafka-tools:4.4.0 org.apache.logging.log4j:log4j-slf4j-impl:2.25.5)
root=.deps/kafka-tools
[ "$(cat "$root/.stamp" 2>/dev/null)" = "${artifacts[*]}" ] && exit 0

scripts/setup-kafka.sh
echo "setup: fetching ${artifacts[*]}"
rm -rf "$root"
mkdir -p "$root"
for artifact in "${artifacts[@]}"; do
  scripts/retry.sh mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
    "-Dartifact=$artifact" "-DoutputDirectory=$PWD/$root"
done
echo "${artifacts[*]}" > "$root/.stamp"
