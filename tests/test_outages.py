"""Half a minute without a server, under load, on the whole pipeline: each way to be away is played at the same time, on a pipeline of its
own. Nothing of ours is restarted, and a fresh event must pass within ten seconds of the healing."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from kafka_records import fresh_topic, warm_up, when_direct
from kafka_server import KafkaCluster
from mongo_server import Database
from support import event, eventually
from tcp_fault_proxy import TcpFaultProxy

DOWN_S = 30
FRESH_S = 10


class Load:
    """An event every 100 ms until told to stop; all of it must be taken, by Kafka or by the outbox."""

    def __init__(self, server):
        self.server, self.taken, self.error = server, {}, None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        number = 0
        while not self._over.wait(0.1) and self.error is None:
            answer = self.server.post(event(f"img-{number}", dim=16))
            if answer.status_code != 200:
                self.error = answer.text
            else:
                self.taken[f"img-{number}"] = answer.json()["durable_in"]
            number += 1

    def stop(self):
        self._over.set()
        self._thread.join()
        assert self.error is None
        return self.taken


class Pipeline:
    """`ca4 serve` and `ca4 work` on a topic and a database of their own; `kafka` and `mongo` are the addresses where they find these."""

    def __init__(self, serve, work, folder, kafka, database):
        self.database = database
        # The broker names its own address: mapped, so that nothing goes past a proxy.
        flags = ["--kafka-bootstrap", kafka, "--kafka-broker-map", f"*={kafka}", "--topic", fresh_topic(kafka), "--no-archive"]
        flags += ["--kafka-delivery-timeout-ms", "2000"]
        self.server = when_direct(serve("serve", folder / "serve", *flags, env=database.env))
        work(folder / "work", *flags, env=database.env)

    def play(self, fail, heal):
        """Fails, waits, heals; returns after how long a fresh event was stored, and where those of the load were durable."""
        load = Load(self.server)
        try:
            eventually(lambda: self.database.holds(["img-0"]), "the pipeline runs")
            fail()
            # No synchronisation: an outage of so long is what is to be played.
            time.sleep(DOWN_S)
            heal()
            healed = time.monotonic()
            self.server.accept(event("fresh"))
            eventually(lambda: self.database.holds(["fresh"]), "a fresh event is stored")
            stored_after_s = time.monotonic() - healed
        finally:
            taken = load.stop()
        eventually(lambda: self.database.holds(taken), f"all of {len(taken)} events are stored")
        # One document an id, by the database's own key, and none that nobody was promised.
        assert self.database.ids() == {*taken, "fresh"}
        return stored_after_s, set(taken.values())


@pytest.fixture
def proxied():
    """proxied(port) is a proxy in front of this port of the machine."""
    proxies = []

    def begin(port):
        proxies.append(TcpFaultProxy(("127.0.0.1", int(port))))
        return proxies[-1]

    yield begin
    for proxy in proxies:
        proxy.close()


@pytest.fixture
def broker(tmp_path):
    """A broker to be killed."""
    cluster = KafkaCluster(tmp_path / "kafka")
    try:
        (node,) = cluster.start().nodes
        warm_up(node.address())
        yield node
    finally:
        cluster.stop()


@pytest.mark.alone
def test_half_a_minute_without_a_server_is_over_ten_seconds_after_it(tmp_path, kafka, broker, nx, own_nx, proxied, serve, work):
    silent, closed, silent_mongo = proxied(kafka.split(":")[1]), proxied(kafka.split(":")[1]), proxied(nx.port)
    faults = {
        "broker killed": (broker.address(), Database(nx), broker.server.kill, broker.server.start),
        "packets to the broker dropped": (silent.address, Database(nx), silent.stall, silent.heal),
        "broker refuses connections": (closed.address, Database(nx), closed.refuse, closed.heal),
        "database killed": (kafka, own_nx, own_nx.server.kill, own_nx.server.start),
        "packets to the database dropped": (
            kafka, Database(nx, f"mongodb://{silent_mongo.address}/"), silent_mongo.stall, silent_mongo.heal,
        ),
    }  # fmt: skip
    pipelines = {
        name: Pipeline(serve, work, tmp_path / name, address, database) for name, (address, database, *_) in faults.items()
    }
    with ThreadPoolExecutor(len(faults)) as pool:
        played = {name: pool.submit(pipelines[name].play, *fault[2:]) for name, fault in faults.items()}
    outcomes = {name: future.result() for name, future in played.items()}
    print({name: f"{after_s:.1f} s" for name, (after_s, _) in outcomes.items()})
    assert {name: after_s for name, (after_s, _) in outcomes.items() if after_s > FRESH_S} == {}
    for name, (_, places) in outcomes.items():
        # While Kafka is away the outbox takes what comes; a database is missed by nobody who posts.
        assert places == ({"kafka"} if "database" in name else {"kafka", "outbox"}), name
