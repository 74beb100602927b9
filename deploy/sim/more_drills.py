"""The incidents of docs/runbook.md in which the way through Kafka stays as it is: letters, certificates, producers, the archive."""

import json
import subprocess
import time
from pathlib import Path

from basics import BINARY, ROOT, eventually
from certificates import Authority
from drill import HEALED_S, Drill
from vpc import PYTHON

PHOTOS = ROOT / ".deps/images/photos"
MODEL = ROOT / ".deps/model/efficientnet_lite0.onnx"
# Where programs look for the authorities that this machine trusts.
TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")

# Another writer of the topic, with a client that is not ours.
WRITE = """
import sys, confluent_kafka
failed = []
producer = confluent_kafka.Producer({"bootstrap.servers": "kafka:9092"})
producer.produce("gpu-metadata", key=sys.argv[1], value=sys.argv[2], on_delivery=lambda error, _: failed.append(error))
producer.flush(30)
sys.exit(0 if failed == [None] else f"not written: {failed}")
"""


class Poison(Drill):
    name, title = "poison", "Poison events"

    def write(self, metadata_id, value):
        self.vpc["node"].run(PYTHON, "-c", WRITE, metadata_id, value)

    def inject(self):
        self.poison = self.prefix.replace("drill-", "foreign-").rstrip("-")
        self.write(self.poison, '{"metadata_id": "' + self.poison + '", "embedding": "not numbers"}')
        self.note("inject", "another writer puts an event into the topic whose embedding is no list of numbers")
        eventually(lambda: self.poison in self.vpc.ca4("node", "dlq", "list").stdout, "the dead letter", HEALED_S)

    def observe(self):
        self.load.await_more("kafka")
        self.await_stored("its neighbours are stored")
        shown = self.vpc.ca4("node", "dlq", "show", self.poison)
        assert shown.returncode == 0 and "reason: event in JSON: embedding: must be a list of numbers" in shown.stdout, shown.stdout + shown.stderr
        self.note("impact", "its neighbours are stored; the letter has its reason and its bytes")

    def recover(self):
        self.write(self.poison, json.dumps({"metadata_id": self.poison, "embedding": [0.5, 0.25]}))
        eventually(lambda: self.vpc.documents(self.poison) == {self.poison: 1}, "the mended event is stored", HEALED_S)
        self.note("recover", "the writer is mended and has sent it again: stored")


class Certificate(Drill):
    name, title = "certificate", "Certificate expired"

    def prepare(self):
        self.home = self.vpc.home("laptop") / f"https-{time.time_ns()}"
        self.authority = Authority(self.home)
        self.server = None
        # Trusted on this laptop, as by update-ca-certificates.
        trusted = self.home / "trusted.pem"
        trusted.write_text(TRUSTED.read_text() + self.authority.cert_file.read_text())
        self.vpc["laptop"].run("mount", "--bind", trusted, TRUSTED)
        self.serve(days=2)
        assert self.post().returncode == 0, self.post().stderr

    def serve(self, days):
        """A processor with a certificate of so many days, beside the other one and into the same Kafka."""
        if self.server is not None:
            self.server.stop()
        certificate, key = self.authority.issue("localhost", days=days)
        # One of no days is over a second later.
        time.sleep(0 if days else 1.1)
        flags = ["--listen", "127.0.0.1:8443", "--data-dir", self.home, "--kafka-outbox-file", self.home / "outbox.db"]
        flags += ["--tls-cert-file", certificate, "--tls-key-file", key]
        laptop = self.vpc["laptop"]
        self.server = laptop.server(
            "ca4 serve, TLS",
            [BINARY, "serve", *flags],
            self.vpc.logs / "serve-tls.log",
            env=self.vpc.env("laptop"),
            ready=lambda: laptop.connects("127.0.0.1", 8443),
        )
        self.server.start()

    def post(self):
        """What any client of Python, curl or a notebook sees."""
        event = json.dumps({"metadata_id": self.prefix.replace("drill-", "tls-"), "embedding": [0.5, 0.25]})
        argv = ["curl", "-sS", "--fail", "https://localhost:8443/metadata"]
        argv += ["-H", "content-type: application/json", "-d", event]
        return subprocess.run(self.vpc["laptop"].inside(*argv), capture_output=True, text=True, timeout=60)

    def inject(self):
        self.serve(days=0)
        self.note("inject", "the processor at https://localhost:8443 has a certificate whose time is over")

    def observe(self):
        refused = self.post()
        assert refused.returncode == 60 and "certificate has expired" in refused.stderr, refused.stderr
        self.note("impact", f"clients that check certificates send nothing: {refused.stderr.splitlines()[0]}")

    def recover(self):
        self.serve(days=2)
        self.note("recover", "a new certificate in its place, the processor started again")
        assert self.post().returncode == 0, self.post().stderr
        stored = lambda: len(self.vpc.documents(self.prefix.replace("drill-", "tls-"))) == 1  # noqa: E731
        eventually(stored, "the event is stored", HEALED_S)
        self.note("heal", "the event that was refused is sent again and stored")

    def clean_up(self):
        if self.server is not None:
            self.server.stop()
        subprocess.run(self.vpc["laptop"].inside("umount", TRUSTED), capture_output=True, timeout=60)


class Colab(Drill):
    name, title = "colab", "Colab gone"

    def prepare(self):
        self.pipeline = f"{self.prefix}images"
        self.journal = self.vpc.home("laptop") / f"{self.pipeline}.journal"
        self.images = len(list(PHOTOS.iterdir()))
        self.producer = None

    def produce(self):
        """A producer, as a notebook's cell runs it: slow enough to be caught in the middle."""
        flags = ["--model", MODEL, "--batch", "1", "--pipeline", self.pipeline, "--journal", self.journal]
        self.producer = self.vpc["laptop"].server(
            "ca4 produce", [BINARY, "produce", PHOTOS, *flags], self.vpc.logs / "produce.log", env=self.vpc.env("laptop")
        )
        self.producer.launch()

    def stored(self):
        counted = self.vpc.ca4("node", "query", "--pipeline", self.pipeline, "--count")
        assert counted.returncode == 0, counted.stderr
        return int(counted.stdout)

    def inject(self):
        self.produce()
        eventually(lambda: self.journal.is_file() and self.journal.read_bytes().count(b"\n") > 5, "some images are sent", HEALED_S)
        self.producer.kill()
        self.note("inject", "the producer is killed in the middle of its images, as a runtime that Colab takes away")

    def observe(self):
        eventually(lambda: self.stored() > 0, "some images are stored", HEALED_S)
        assert self.stored() < self.images
        self.note("impact", f"some of {self.images} images are stored, the others were never sent; nothing else is disturbed")

    def recover(self):
        self.produce()
        assert self.producer.process.wait(HEALED_S) == 0, self.producer.said()
        self.note("recover", "the same cell again, with the same journal: it goes on where it was")
        eventually(lambda: self.stored() == self.images, lambda: f"{self.stored()} of {self.images} images", HEALED_S)
        self.note("heal", f"all {self.images} images are stored, each once")

    def clean_up(self):
        if self.producer is not None:
            self.producer.kill()


class Archive(Drill):
    name, title = "s3", "S3 away"

    def inject(self):
        self.vpc.servers["s3"].kill()
        self.note("inject", "the S3 server is killed (SIGKILL)")

    def observe(self):
        self.load.await_more("kafka")
        self.await_stored("the database goes on")
        assert not self.load.answers("503", "refused", "outbox")
        self.note("impact", "POSTs succeed and documents are stored; only the archive waits")

    def recover(self):
        self.vpc.servers["s3"].start()
        self.note("recover", "S3 answers again")
        archived = lambda: self.vpc.archived(self.prefix)  # noqa: E731
        wanted = set(self.load.taken())
        eventually(lambda: wanted <= archived().keys(), lambda: f"{len(wanted - archived().keys())} events not archived", HEALED_S)
        assert set(archived().values()) == {1}
        self.note("heal", f"the archiver has caught up: {len(wanted)} events of the drill are in the bucket, each once")
