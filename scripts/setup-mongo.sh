#!/usr/bin/env bash
# The two MongoDB-compatible servers of the tests, into .deps/mongo: nx-27017 (PyPI; durable, on SQLite) and
# mongo-java-server (Maven; in memory, with TLS) with a main class of ours. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

root=.deps/mongo
sources=(tests/nx-requirements.txt tests/java/mongo/pom.xml tests/java/mongo/MongoServerMain.java scripts/setup-mongo.sh)
wanted=$(cat "${sources[@]}" | sha256sum | cut -c1-16)
[ "$(cat "$root/.stamp" 2>/dev/null)" = "$wanted" ] && exit 0

echo "setup: installing the MongoDB-compatible servers of the tests"
rm -rf "$root"
mkdir -p "$root/java"
# An environment of its own: it wants a newer pymongo than mongo-java-server understands.
/usr/bin/python3 -m venv "$root/nx"
"$root/nx/bin/pip" install --quiet --disable-pip-version-check --no-input -r tests/nx-requirements.txt
mvn -q -B -f tests/java/mongo/pom.xml dependency:copy-dependencies -DincludeScope=runtime \
  -DoutputDirectory="$PWD/$root/java/lib"
javac -cp "$root/java/lib/*" -d "$root/java/classes" tests/java/mongo/MongoServerMain.java
echo "$wanted" > "$root/.stamp"
