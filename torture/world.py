"""The processes under test: started, killed, looked at. What ends by itself is noted, and started again, as an init system does."""

import contextlib
import json
import os
import subprocess
import threading
import time
from pathlib import Path

import requests
import schedule
import tunnel
import views
from basics import BINARY, ENVIRONMENT
from confluent_kafka import ElectionType, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from kafka_records import fresh_topic, warm_up
from kafka_server import KafkaCluster
from mongo_server import Database, NxServer
from s3_server import S3Server
from schedule import OWN
from server_process import ServerProcess, free_port
from stranger import Stranger
from support import clock_ahead_s, metric, run, set_clock, with_clock
from tcp_fault_proxy import TcpFaultProxy

TOPIC = "gpu-metadata"
# The archiver of a test writes many small objects rather than one large in the end; long pauses after an outage would only make runs longer.
QUICK = {"CA4_ARCHIVE_LINGER_MS": "200", "CA4_WORKER_BACKOFF_MS_MAX": "1000"}
START_S = 90
GROUPS = 2  # of consumers: worker and archiver
LAG_S = 1.2  # how old the metric of what they are behind may be
# A broker that came back leads again soon: a fault of the way to one that leads nothing would meet no traffic.
BALANCED = {"leader.imbalance.check.interval.seconds": 5}
LIVES = 1 << 20  # above what a process has in any run
TMPFS_BYTES = 4 << 30  # a bound, not taken: what is in it counts


class Ca4(ServerProcess):
    """A command of ca4 on fixed ports. start() tries again while it ends by itself, as with a disk that is full."""

    def __init__(self, name, data_dir, flags, env, folder):
        command = name.rstrip("0123456789")
        self.admin, self.listen = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        argv = [BINARY, command, "--data-dir", data_dir, "--admin-listen", self.admin, *flags]
        self.worker = command == "work"
        argv += [] if self.worker else ["--listen", self.listen]
        super().__init__(name, argv, folder / f"{name}.log", env=env, cwd=folder, ready=self._answers)
        self.env, self._clock = ENVIRONMENT | env, folder / f"{name}.clock"
        self.lives, self.false_starts = 0, 0

    def with_clock(self):
        """From the next start on its clock can be moved."""
        self.move_clock(0)
        clock, loaded = with_clock(self._clock), self.env.get("LD_PRELOAD", "")
        self.env |= clock | {"LD_PRELOAD": f"{loaded} {clock['LD_PRELOAD']}".strip()}

    def move_clock(self, ahead_s):
        set_clock(self._clock, ahead_s)

    def ahead_s(self):
        """By how much its clock is ahead of ours, or 0 when it does not answer."""
        try:
            return clock_ahead_s(f"http://{self.admin}", 3)
        except requests.RequestException:
            return 0

    def _answers(self):
        try:
            address = self.admin if self.worker else self.listen
            return requests.get(f"http://{address}/livez", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def launch(self):
        self.lives += 1
        super().launch()

    def start(self, ready_s=START_S):
        deadline = time.monotonic() + ready_s
        while True:
            try:
                self.launch()
                self.wait_until_ready(max(1.0, deadline - time.monotonic()))
                return self
            except AssertionError:
                if self.process.returncode in (2, 78) or self.runs() or time.monotonic() > deadline:
                    raise
                self.false_starts += 1
                time.sleep(0.3)

    def scrape(self):
        """The text of /metrics; none when it does not answer."""
        try:
            return requests.get(f"http://{self.admin}/metrics", timeout=3).text
        except requests.RequestException:
            return None


class Disk:
    """A file system of its own that is full on demand. Needs root."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", folder], check=True)

    def fill(self):
        """No room is left, but for what is written at this very moment."""
        for spare in range(0, 1 << 20, 1 << 14):
            used = os.statvfs(self.folder)
            # Less than what is in use is refused, and that grows while it is asked for.
            if self._size((used.f_blocks - used.f_bfree) * used.f_frsize + spare):
                return
        raise AssertionError(f"{self.folder} can't be made full")

    def free(self):
        assert self._size(TMPFS_BYTES), f"{self.folder} stays full"

    def _size(self, size_bytes):
        argv = ["mount", "-o", f"remount,size={size_bytes}", self.folder]
        return subprocess.run(argv, capture_output=True).returncode == 0

    def close(self):
        subprocess.run(["umount", self.folder], check=True)


class World:
    """What both have: processes by name, connections by name, a disk, and the lives of the processor."""

    def __init__(self, folder, plan, env=None):
        self.folder, self.plan, self.env = Path(folder), plan, QUICK | (env or {})
        self.processes, self.proxies, self.disk = {}, {}, None
        self.evidence = {}  # {(kind, target): (what is counted, how often it has been seen)}; other faults are seen by a proxy's counter
        self.refused_503 = lambda: 0  # events answered so, told by whoever runs the clients
        self._log, self._log_lock = (self.folder / "timeline.txt").open("w"), threading.Lock()
        self.other_build = None  # another binary of ca4, for a plan that changes them
        self.deaths = []  # (name, exit code, what it said) of those that nobody ended

    def note(self, text):
        """A line of the history, with its time."""
        with self._log_lock:
            self._log.write(f"{time.time():.3f} {text}\n")
            self._log.flush()

    @property
    def fronts(self):
        """The processes that take events."""
        return [process for process in self.processes.values() if isinstance(process, Ca4) and not process.worker]

    @property
    def front(self):
        """One of them."""
        return self.fronts[0]

    def life(self, front=0):
        """A number that the front of this number has until it is started again, and that no other has or had."""
        return front * LIVES + self.fronts[front].lives

    def false_starts(self):
        """How often a front ended before it was ready, and was started again."""
        return sum(front.false_starts for front in self.fronts)

    @property
    def workers(self):
        """The processes that store and archive."""
        return [process for process in self.processes.values() if getattr(process, "worker", False)] or [self.front]

    def add_ca4(self, name, data_dir, flags, env):
        self.processes[name] = Ca4(name, data_dir, flags, env, self.folder)
        if any((fault.kind, fault.target) == ("clock", name) for fault in self.plan.faults):
            self.processes[name].with_clock()

    def mount(self, name):
        """The folder for what may be full: on a disk of its own if the plan fills it."""
        if any(fault.kind == "full" for fault in self.plan.faults):
            self.disk = Disk(self.folder / name)
        else:
            (self.folder / name).mkdir()
        return self.folder / name

    def look_for_deaths(self):
        """Notes and starts again what ended although nobody ended it. To be called while no fault is on."""
        for process in self.processes.values():
            if not process.runs():
                self.deaths.append((process.name, process.process.returncode, process.said(2000)))
                self.note(f"{process.name} has ended by itself with {process.process.returncode}")
                process.start()

    def come_back(self):
        """All that can't be reached is there again. Whether anything is reached through a connection that fails."""
        for proxy in self.proxies.values():
            proxy.heal()
        return bool(self.proxies)

    def strangers(self, book):
        """Further threads that write into the log, and stop like clients; what they write they put into the ledger `book`."""
        return []

    def drained(self):
        """Whether everything that was accepted is in the database and in the archive, by ca4's own account; else what is left."""
        time.sleep(LAG_S)
        texts = [front.scrape() for front in self.fronts]
        if None in texts:
            return False, "no metrics"
        left = {name: [metric(text, name) for text in texts] for name in ("ca4_lag_records", "ca4_outbox_records")}
        known = None not in left["ca4_lag_records"]
        return known and not any(map(any, left.values())), f"{left}"

    def close(self):
        for process in reversed(self.processes.values()):
            process.kill()
        for proxy in self.proxies.values():
            proxy.close()
        if self.disk:
            self.disk.close()
        self._log.close()


class Embedded(World):
    """`ca4 up`, or `serve` and `work`, on one data directory."""

    def start(self, ready_s=START_S):
        return self.start_on(self.mount("data"), ready_s)

    def start_on(self, data, ready_s=START_S):
        """On a folder that is there."""
        self.data = data
        for name in OWN[self.plan.layout]:
            self.add_ca4(name, data, [], self.env)
        for name in OWN[self.plan.layout]:
            self.processes[name].start(ready_s)
        return self

    def drained(self):
        """By the positions themselves: the metric of them is a second old at times."""
        shown = run("log", "stats", "--data-dir", self.data, "--format", "ndjson")
        assert shown.returncode == 0, shown.stderr
        left = {group["group"]: group["lag"] for group in json.loads(shown.stdout)["groups"]}
        return len(left) == GROUPS and not any(left.values()), f"{left}"

    def view(self):
        return views.of_embedded(self.data)

    def holds(self, metadata_id):
        """Whether the database has it."""
        return views.is_stored(self.data, metadata_id)


def kafka_flags(reached):
    """`reached`: {the address that a broker tells its clients: where it is reached}."""
    return ["--kafka-bootstrap", ",".join(reached.values()), "--kafka-broker-map", ",".join(f"{told}={used}" for told, used in reached.items())]


class Servers(World):
    """`ca4 serve`, one or two of it, and two of `ca4 work` with Kafka, a MongoDB-wire database and S3, each reached through a proxy that fails.

    With a tunnel `serve` is on a laptop: it reaches the same proxy of a broker, but only through `ca4 tunnel`, another proxy and an sshd.
    """

    def start(self):
        cluster = KafkaCluster(self.folder / "kafka", self.plan.brokers, settings=BALANCED)
        cluster.format()
        names = schedule.brokers(self.plan.brokers)
        self.nodes = dict(zip(names, cluster.nodes, strict=True))
        nx, s3 = NxServer(self.folder), S3Server(self.folder / "s3")
        self.processes |= {name: node.server for name, node in self.nodes.items()} | {"mongo": nx, "s3": s3}
        for server in self.processes.values():
            server.launch()
        for server in self.processes.values():
            server.wait_until_ready()
        self.broker = cluster.bootstrap()
        warm_up(self.broker)
        self.topic, self.bucket, self.s3 = fresh_topic(self.broker), "ca4-torture", s3
        self._admin = AdminClient({"bootstrap.servers": self.broker, "log_level": 0})
        s3.make_bucket(self.bucket)
        targets = {name: node.ports["PLAINTEXT"] for name, node in self.nodes.items()} | {"mongo": nx.port, "s3": s3.port}
        self.proxies = {name: TcpFaultProxy(("127.0.0.1", port)) for name, port in targets.items()}
        self.database = Database(nx, f"mongodb://{self.proxies['mongo'].address}/")
        env = self.env | self.database.env | s3.keys_env
        env |= {"CA4_ARCHIVE_S3_BUCKET": self.bucket, "CA4_ARCHIVE_S3_ENDPOINT": f"http://{self.proxies['s3'].address}"}
        outboxes = self.mount("outbox")
        reached = {node.address(): self.proxies[name].address for name, node in self.nodes.items()}
        ways = {}
        if self.plan.tunnel:
            through = tunnel.dig(self, [*reached.values()])
            ways["serve"] = {told: through[used] for told, used in reached.items()}
        self.outboxes = {}
        for name in OWN[self.plan.layout]:
            flags = ["--topic", self.topic, *kafka_flags(ways.get(name, reached))]
            if name.startswith("serve"):
                self.outboxes[self.folder / name] = outboxes / f"{name}.db"
                flags += ["--kafka-outbox-file", outboxes / f"{name}.db"]
            self.add_ca4(name, self.folder / name, flags, env)
            self.processes[name].start()
        return self

    def leaders(self):
        """{partition of the topic: the broker that leads it, none for nobody}; empty when no broker answers."""
        names = {node.node_id: name for name, node in self.nodes.items()}
        with contextlib.suppress(KafkaException):
            partitions = self._admin.list_topics(self.topic, timeout=5).topics[self.topic].partitions
            return {number: names.get(partition.leader) for number, partition in partitions.items()}
        return {}

    def elect_preferred(self):
        """Asks that each partition be led by the first of its replicas. Whether it was answered."""
        wanted = [TopicPartition(self.topic, number) for number in self.leaders()]
        with contextlib.suppress(KafkaException):
            if wanted:
                self._admin.elect_leaders(ElectionType.PREFERRED, wanted).result()
                return True
        return False

    def strangers(self, book):
        return [Stranger(self.broker, self.topic, self.plan.seed, book)]

    def view(self):
        return views.of_servers(self)

    def holds(self, metadata_id):
        """Whether the database has it."""
        return self.database.get(metadata_id) is not None


def make(folder, plan):
    return (Embedded if plan.backend == "embedded" else Servers)(folder, plan)
