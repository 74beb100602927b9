#!/usr/bin/env bash
# Apache Camel with HTTP in and Kafka out, into .deps/bench/camel: jars from Maven Central, pinned, and bench/peers/camel/Bridge.java compiled
# beside them. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

root=.deps/bench/camel
sources=(bench/peers/camel/pom.xml bench/peers/camel/Bridge.java)
wanted=$(cat "${sources[@]}" | sha256sum | cut -c1-16)
[ "$(cat "$root/.stamp" 2>/dev/null)" = "$wanted" ] && exit 0

echo "setup: fetching Apache Camel"
rm -rf "$root"
mkdir -p "$root"
scripts/retry.sh mvn --quiet --batch-mode --file bench/peers/camel/pom.xml dependency:copy-dependencies \
  -DincludeScope=runtime "-DoutputDirectory=$PWD/$root/lib"
javac -cp "$root/lib/*" -d "$root/classes" bench/peers/camel/Bridge.java
echo "$wanted" >"$root/.stamp"
