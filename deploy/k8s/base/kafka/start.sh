#!/usr/bin/env bash
# Starts the broker of one pod of the StatefulSet: formats its volume the first time, then becomes Kafka.
#   KAFKA_BROKERS     how many pods there are
#   KAFKA_CLUSTER_ID  the same on all of them, for good
#   KAFKA_DOMAIN      what follows the pod's name in its DNS name
#   KAFKA_PROPERTIES  folder of server.properties and log4j2.yaml
set -euo pipefail

number=${HOSTNAME##*-}
config=${KAFKA_CONFIG:-/tmp/server.properties}

voters=
for other in $(seq 0 $((KAFKA_BROKERS - 1))); do voters+=${voters:+,}$other@kafka-$other.$KAFKA_DOMAIN:9093; done
# With three brokers an acknowledged event is on two of them at least, and one may be away.
if [ "$KAFKA_BROKERS" -ge 3 ]; then copies=3 copies_min=2; else copies=1 copies_min=1; fi

cp "$KAFKA_PROPERTIES/server.properties" "$config"
cat >> "$config" <<END
node.id=$number
controller.quorum.voters=$voters
# In the cluster by the pod's name. Through the tunnel as the forwarded port on the laptop: each broker has its own, from 9092 on.
advertised.listeners=PLAINTEXT://kafka-$number.$KAFKA_DOMAIN:9092,TUNNEL://localhost:$((9092 + number))
default.replication.factor=$copies
offsets.topic.replication.factor=$copies
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=$copies_min
min.insync.replicas=$copies_min
END

kafka-storage.sh format --ignore-formatted --cluster-id "$KAFKA_CLUSTER_ID" --config "$config"
# Set here and not in the manifest, so that tools which somebody runs in this pod print only what they are asked. Kafka's own arguments have
# -loggc besides: up to 1 GB in files, on a /tmp of 256 MiB.
export KAFKA_LOG4J_OPTS="-Dlog4j2.configurationFile=$KAFKA_PROPERTIES/log4j2.yaml" EXTRA_ARGS="-name kafkaServer"
exec kafka-server-start.sh "$config"
