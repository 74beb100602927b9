#!/usr/bin/env bash
# Apache Kafka, a real broker for the tests, into .deps/kafka/lib: its jars from Maven Central, pinned. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

kafka_version=4.4.0
scala_version=2.13
# What Kafka logs through; its own choice among SLF4J's back ends needs a configuration of several pages.
slf4j_version=1.7.36
plugin_version=3.8.1

root=.deps/kafka
wanted="kafka_$scala_version $kafka_version slf4j-simple $slf4j_version"
[ "$(cat "$root/.stamp" 2>/dev/null)" = "$wanted" ] && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/pom.xml" <<POM
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
      <version>$kafka_version</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>$slf4j_version</version>
    </dependency>
  </dependencies>
</project>
POM

echo "setup: fetching Apache Kafka $kafka_version"
# Jars are fetched one after the other from a busy registry: a single refusal must not end the set-up.
for try in 1 2 3; do
  if mvn --quiet --batch-mode --file "$work/pom.xml" \
    "org.apache.maven.plugins:maven-dependency-plugin:$plugin_version:copy-dependencies" \
    -DincludeScope=runtime "-DoutputDirectory=$work/lib"; then
    break
  fi
  [ "$try" -lt 3 ] || exit 1
  sleep 5
done
rm -rf "$root"
mkdir -p "$root"
mv "$work/lib" "$root/lib"
echo "$wanted" > "$root/.stamp"
