#!/usr/bin/env bash
# Makes the topics that are not there; leaves those that are as they are. The number of partitions is the largest number of workers that
# share the work.
#   KAFKA_BOOTSTRAP  the brokers
#   KAFKA_COPIES     how many brokers keep each event
set -euo pipefail

ensure() { # TOPIC PARTITIONS [FLAG...]
  kafka-topics.sh --bootstrap-server "$KAFKA_BOOTSTRAP" --create --if-not-exists \
    --topic "$1" --partitions "$2" --replication-factor "$KAFKA_COPIES" "${@:3}"
}

ensure gpu-metadata 6
# Dead letters are few and read one by one. They stay, as with `ca4 topics ensure`: what they hold is nowhere else.
ensure gpu-metadata.dlq 1 --config retention.ms=-1 --config retention.bytes=-1
