#!/usr/bin/env bash
# Apache Kafka, real brokers for the tests, into .deps/kafka/VERSION: jars from Maven Central, pinned. The second version is one
# that takes SCRAM from the librdkafka of Debian 12 (docs/kafka.md). A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

kafka_versions=(4.4.0 3.9.1)
scala_version=2.13
# What Kafka logs through; its own choice among SLF4J's back ends needs a configuration of several pages.
slf4j_version=1.7.36
plugin_version=3.8.1

pom() {
  cat <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>ca4</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_$scala_version</artifactId>
      <version>$1</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>$slf4j_version</version>
    </dependency>
  </dependencies>
</project>
POM
}

# fetch VERSION
fetch() {
  local work
  work=$(mktemp -d)
  # shellcheck disable=SC2064  # $work is wanted as it is now
  trap "rm -rf '$work'" EXIT
  pom "$1" > "$work/pom.xml"
  scripts/retry.sh mvn --quiet --batch-mode --file "$work/pom.xml" \
    "org.apache.maven.plugins:maven-dependency-plugin:$plugin_version:copy-dependencies" \
    -DincludeScope=runtime "-DoutputDirectory=$work/lib"
  mkdir -p .deps/kafka
  rm -rf ".deps/kafka/$1"
  mv "$work/lib" ".deps/kafka/$1"
  rm -rf "$work"
}

for version in "${kafka_versions[@]}"; do
  wanted="kafka_$scala_version $version slf4j-simple $slf4j_version"
  [ "$(cat ".deps/kafka/$version/.stamp" 2>/dev/null)" = "$wanted" ] && continue
  echo "setup: fetching Apache Kafka $version"
  fetch "$version"
  echo "$wanted" > ".deps/kafka/$version/.stamp"
done
