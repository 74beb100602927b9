"""The real Kafka broker that benchmarks measure with. Its modules are in tests/ and lab/, which are on the path of whoever asks for it."""

import contextlib
import time
import uuid

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from kafka_records import produce
from kafka_server import KafkaCluster

PARTITIONS = 6
READY_S = 600  # a machine that is busy enough for figures to be doubtful is still worth a try
SESSION_MS = 120_000  # nobody waits for it to be found dead


@contextlib.contextmanager
def one_broker(folder):
    """A node (kafka_server.py) that takes topics and idempotent writers, with its files in `folder`; gone after the block."""
    cluster = KafkaCluster(folder, settings={"broker.session.timeout.ms": SESSION_MS})
    try:
        (broker,) = cluster.start(READY_S).nodes
        _when_ready(broker)
        yield broker
    finally:
        cluster.stop()


def fresh_topic(broker):
    topic = f"bench-{uuid.uuid4().hex[:12]}"
    client = AdminClient({"bootstrap.servers": broker.address()})
    for future in client.create_topics([NewTopic(topic, PARTITIONS, 1)], operation_timeout=60, request_timeout=60).values():
        future.result(60)
    return topic


def delete_topic(broker, topic):
    """A run leaves gigabytes."""
    client = AdminClient({"bootstrap.servers": broker.address()})
    for future in client.delete_topics([topic]).values():
        future.result(60)


def _when_ready(broker):
    """A broker listens before it takes topics and idempotent writers."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            return produce(broker.address(), fresh_topic(broker), "warm", "up", **{"enable.idempotence": True})
        except (KafkaException, AssertionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
