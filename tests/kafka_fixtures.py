"""A real Kafka broker for the tests that share one, and a topic of its own for each."""

import pytest
from kafka_records import fresh_topic, warm_up
from kafka_server import KafkaCluster


@pytest.fixture(scope="session")
def kafka_node(tmp_path_factory):
    """One real broker for all tests; they have topics of their own, and leave it running."""
    cluster = KafkaCluster(tmp_path_factory.mktemp("kafka"))
    try:
        warm_up(cluster.start().bootstrap())
        yield cluster.nodes[0]
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def kafka(kafka_node):
    """Its address."""
    return kafka_node.address()


@pytest.fixture
def topic(kafka):
    """A topic with three partitions, and that of its dead letters."""
    return fresh_topic(kafka)


@pytest.fixture
def on_kafka(kafka, topic):
    """The flags that put a command on that topic."""
    return ["--kafka-bootstrap", kafka, "--topic", topic]
