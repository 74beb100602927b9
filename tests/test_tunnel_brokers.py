"""Events from a laptop into a cluster of three brokers, each on a machine of its own behind a bastion, by `ca4 tunnel` alone."""

import json
import subprocess
import sys

import pytest
from kafka_server import KafkaCluster
from netns import Network
from support import eventually, run, when_stored
from test_tunnel import POST, Bastion, Tunnel

BROKERS = ["kafka-1", "kafka-2", "kafka-3"]
PORTS = {"PLAINTEXT": 9092, "CONTROLLER": 9093, "INTERNAL": 9094}
FORWARDS = ",".join(f"{9092 + 100 * n}:{name}.internal:9092" for n, name in enumerate(BROKERS))

# Who leads which partition of a topic, asked where the brokers can be reached without a tunnel.
LEADERS = """
import json, sys
from confluent_kafka.admin import AdminClient
topic = AdminClient({"bootstrap.servers": sys.argv[1]}).list_topics(sys.argv[2], 30).topics[sys.argv[2]]
print(json.dumps({partition.id: partition.leader for partition in topic.partitions.values()}))
"""


class Private:
    """The private network with its brokers."""

    def __init__(self, folder):
        self.network = Network(folder, "laptop", "bastion", *BROKERS)
        self.cluster = None
        try:
            hosts = [self.network[name] for name in BROKERS]
            names = {f"{host.name}.internal": host.address for host in hosts}
            # The laptop does not know these names, as it would not in a VPC.
            self.network.name_hosts(names, on=["bastion", *BROKERS])
            self.network.allow("laptop", "bastion", 22)
            for host in hosts:
                self.network.allow("bastion", host.name, 9092)
                for other in hosts:
                    self.network.allow(other.name, host.name, *PORTS.values())
            self.cluster = KafkaCluster(
                folder / "kafka", 3, hosts=hosts, ports=PORTS, advertise=lambda node, _: f"{node.host.name}.internal:9092"
            )
            self.cluster.start()
        except BaseException:
            self.close()
            raise

    def leaders(self, topic):
        """{partition: the number of the broker that leads it}"""
        asked = self.network["kafka-1"].run(sys.executable, "-c", LEADERS, "kafka-1.internal:9092", topic)
        return {int(partition): leader for partition, leader in json.loads(asked).items()}

    def close(self):
        if self.cluster:
            self.cluster.stop()
        self.network.close()


@pytest.fixture
def private(tmp_path):
    made = Private(tmp_path / "private")
    yield made
    made.close()


@pytest.fixture
def bastion(private, tmp_path):
    made = Bastion(tmp_path / "bastion", private.network["bastion"], permit_open=[f"{name}.internal:9092" for name in BROKERS])
    yield made.start()
    made.stop()


def test_events_go_to_three_brokers_and_back_through_one_bastion(private, bastion, programs, serve, work, tmp_path):
    laptop = private.network["laptop"]
    tunnel = Tunnel(tmp_path / "tunnel", *bastion.flags(), host=laptop, forwards=FORWARDS)
    programs.append(tunnel)
    tunnel.when_healthy()
    broker_map = tunnel.printed().split('"')[1]
    assert broker_map == "kafka-1.internal:9092=127.0.0.1:9092,kafka-2.internal:9092=127.0.0.1:9192,kafka-3.internal:9092=127.0.0.1:9292"

    here = ["--kafka-bootstrap", "kafka-1.internal:9092,kafka-2.internal:9092", "--kafka-broker-map", broker_map, "--topic", "many"]
    made = run("topics", "ensure", *here, "--kafka-partitions", 6, "--json", host=laptop)
    assert made.returncode == 0, made.stdout + made.stderr
    found = json.loads(made.stdout)
    assert (found["brokers"], found["topics"][0]["replicas"], found["topics"][0]["min_insync"]) == (3, 3, 2)
    leaders = private.leaders("many")
    assert sorted(leaders.values()) == [1, 1, 2, 2, 3, 3]

    server = serve("serve", tmp_path / "serve", *here, "--kafka-delivery-timeout-ms", "10000", host=laptop)
    work(tmp_path / "work", *here, host=laptop)
    said = tmp_path / "said"
    argv = laptop.inside("/usr/bin/python3", "-c", POST, server.url)
    with said.open("w") as output, subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=output) as load:

        def in_kafka():
            return [line.split()[0] for line in said.read_text().splitlines() if line.endswith(" kafka")]

        eventually(lambda: len(in_kafka()) > 100, "events are durable in Kafka")
        # Two copies are enough to go on, with other leaders.
        private.cluster.nodes[1].server.kill()
        tunnel.when(**{"kafka-2.internal": "unreachable", "kafka-1.internal": "healthy", "kafka-3.internal": "healthy"})
        before = len(in_kafka())
        eventually(lambda: len(in_kafka()) > before + 100, "and without one of the brokers")
        load.stdin.close()
        assert load.wait(60) == 0
    posted = [line.split()[0] for line in said.read_text().splitlines()]
    documents = when_stored(tmp_path / "work", posted)
    assert documents.keys() == set(posted)
    assert {document["partition"] for document in documents.values()} == set(leaders), "each broker led some of it"
