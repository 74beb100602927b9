#!/usr/bin/env bash
# Apache Camel with HTTP in and Kafka out, into .deps/bench/camel: jars from Maven Central, pinned, and bench/peers/camel/Bridge.java compiled
# beside them. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

camel_version=4.22.0
# What Camel and Kafka log through.
slf4j_version=1.7.36
plugin_version=3.8.1
source=bench/peers/camel/Bridge.java
root=.deps/bench/camel
wanted="camel $camel_version slf4j-simple $slf4j_version $(sha256sum "$source" | cut -c1-16)"
[ "$(cat "$root/.stamp" 2>/dev/null)" = "$wanted" ] && exit 0

dependency() {
  echo "    <dependency><groupId>$1</groupId><artifactId>$2</artifactId><version>$3</version></dependency>"
}

pom() {
  cat <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>ca4</groupId>
  <artifactId>camel-for-benchmarks</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
$(for name in camel-main camel-kafka camel-platform-http-vertx; do dependency org.apache.camel "$name" "$camel_version"; done)
$(dependency org.slf4j slf4j-simple "$slf4j_version")
  </dependencies>
</project>
POM
}

echo "setup: fetching Apache Camel $camel_version"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pom > "$work/pom.xml"
scripts/retry.sh mvn --quiet --batch-mode --file "$work/pom.xml" \
  "org.apache.maven.plugins:maven-dependency-plugin:$plugin_version:copy-dependencies" -DincludeScope=runtime "-DoutputDirectory=$work/lib"
javac -cp "$work/lib/*" -d "$work/classes" "$source"
rm -rf "$root"
mkdir -p "$root"
mv "$work/lib" "$work/classes" "$root"
echo "$wanted" > "$root/.stamp"
