"""`ca4 serve` with its outbox on the disk under test: Kafka can't be reached until come_back(), and what was acknowledged must arrive there."""

import contextlib

import views
from kafka_records import fresh_topic, warm_up
from kafka_server import KafkaCluster
from tcp_fault_proxy import TcpFaultProxy
from world import QUICK, START_S, World, kafka_flags

FILE = "outbox.db"


@contextlib.contextmanager
def broker(folder):
    """One for many cases, each of which has a topic of its own. Gives its address."""
    cluster = KafkaCluster(folder)
    try:
        cluster.start()
        warm_up(cluster.bootstrap())
        yield cluster.bootstrap()
    finally:
        cluster.stop()


class Outbox(World):
    """A worker that always reaches Kafka stores what gets there, in a data directory of its own."""

    def __init__(self, folder, plan, env, broker):
        super().__init__(folder, plan, env)
        self.broker, self.topic, self.stored = broker, fresh_topic(broker), self.folder / "stored"
        host, port = broker.split(":")
        self.proxies["kafka"] = TcpFaultProxy((host, int(port)))
        self.proxies["kafka"].refuse()

    def start(self, ready_s=START_S):
        return self.start_on(self.mount("data"), ready_s)

    def start_on(self, data, ready_s=START_S):
        """On a folder that is there."""
        self.data, self.outboxes = data, {data: data / FILE}
        topic, reached = ["--topic", self.topic], {self.broker: self.proxies["kafka"].address}
        self.add_ca4("work", self.stored, [*topic, "--kafka-bootstrap", self.broker], QUICK)
        self.add_ca4("serve", data, [*topic, "--kafka-outbox-file", data / FILE, *kafka_flags(reached)], self.env)
        self.processes["work"].start()
        self.processes["serve"].start(ready_s)
        return self

    def close(self):
        # The workers of all cases are one group, in which a member that is killed holds up the others until its session is over.
        work = self.processes.get("work")
        if work and work.runs():
            work.stop()
        super().close()

    def view(self):
        return views.of_kafka(self, *views.stored(self.stored))

    def holds(self, metadata_id):
        """Whether the database has it."""
        return views.is_stored(self.stored, metadata_id)
