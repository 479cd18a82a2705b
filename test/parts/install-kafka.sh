#!/bin/sh
# Puts the jars of a real Apache Kafka into the cache (outside the repository) and prints their folder.
# Idempotent; safe to run twice at once: everything is fetched beside the target and renamed over in one step.
set -eu

version=4.1.1
scala=2.13
target="${MILLRACE_CACHE:-$HOME/.cache/millrace}/kafka-$version"

if [ ! -f "$target/lib/kafka_$scala-$version.jar" ]; then
  mkdir -p "$(dirname "$target")"
  work="$(mktemp -d "$target.partial-XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  echo "downloading Apache Kafka $version (54 MB)" >&2
  cat >"$work/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>dev.millrace</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_$scala</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
POM
  mkdir -p "$work/ready"
  (cd "$work" && mvn -q -B dependency:copy-dependencies -DoutputDirectory="$work/ready/lib") >&2
  if [ ! -f "$work/ready/lib/kafka_$scala-$version.jar" ]; then
    echo "Maven brought no kafka_$scala-$version.jar" >&2
    exit 1
  fi
  # Another run may have been faster: then its folder stays and ours is dropped with the work folder.
  mv -T -n "$work/ready" "$target" || true
fi

echo "$target/lib"
