"""The incidents of docs/runbook.md in which something on the way of every event is gone."""

import json
import subprocess

from basics import eventually
from drill import HEALED_S, Drill


class Kafka(Drill):
    name, title = "kafka", "Kafka broker outage"

    def inject(self):
        self.vpc.servers["kafka"].kill()
        self.note("inject", "the broker is killed (SIGKILL)")

    def observe(self):
        self.load.await_more("outbox")
        refused = self.load.answers("503", "refused")
        assert not refused, f"POSTs failed: {refused}"
        assert self.metric("ca4_kafka_up") == 0
        self.note("impact", f"every POST succeeds; {len(self.load.answers('outbox'))} events wait in the outbox")

    def recover(self):
        self.vpc.servers["kafka"].start()
        self.note("recover", "the broker runs again")
        self.await_healed()

    def await_healed(self):
        self.load.await_more("kafka")
        self.await_empty_outbox()
        self.await_stored("the worker has caught up")
        self.note("heal", "the worker has caught up")


class Database(Drill):
    name, title = "database", "Database down"

    def inject(self):
        self.vpc.servers["database"].kill()
        self.note("inject", "the database is killed (SIGKILL)")

    def observe(self):
        self.load.await_more("kafka")
        assert not self.load.answers("503", "refused", "outbox")
        self.note("impact", "every POST succeeds and is durable in Kafka; nothing new is stored")

    def recover(self):
        self.vpc.servers["database"].start()
        self.note("recover", "the database runs again")
        self.await_stored("the worker has caught up")
        self.note("heal", "the worker has caught up by itself")


class Tunnel(Drill):
    name, title = "tunnel", "Tunnel cut"

    def inject(self):
        self.vpc.network.cut("laptop", "bastion")
        self.note("inject", "every packet between laptop and bastion is dropped")
        # ssh takes three unanswered questions for a dead link.
        status = lambda: self.vpc.ca4("laptop", "tunnel", "--status", "--json").stdout  # noqa: E731
        eventually(lambda: "connected" != json.loads(status())["links"][0]["state"], status, HEALED_S)
        self.note("notice", "ca4 tunnel has found the link dead")

    def observe(self):
        self.load.await_more("outbox")
        assert not self.load.answers("503", "refused")
        self.note("impact", "every POST succeeds; events wait in the outbox")

    def recover(self):
        self.vpc.network.mend()
        self.note("recover", "packets pass again; nothing is restarted by hand")
        self.vpc.await_tunnel()
        self.note("heal", "ca4 tunnel is up again by itself")
        self.load.await_more("kafka")
        self.await_empty_outbox()

    def clean_up(self):
        self.vpc.network.mend()


class Disk(Drill):
    name, title = "disk", "Outbox disk full"

    def prepare(self):
        outbox = self.vpc.home("laptop") / "outbox"
        self.filler = outbox / "filler"
        # A file of its own: what earlier events left free in the old one, which is empty, would have to be filled first.
        assert self.metric("ca4_outbox_records") == 0
        self.vpc.servers["serve"].stop()
        self.vpc["laptop"].run("find", outbox, "-type", "f", "-delete")
        self.vpc.servers["serve"].start()

    def inject(self):
        self.vpc.servers["kafka"].kill()
        self.load.await_more("outbox")
        self.note("inject", "the broker is killed, so that events go to the outbox")
        # All of the disk: what does not fit any more is not written.
        subprocess.run(
            self.vpc["laptop"].inside("dd", "if=/dev/zero", f"of={self.filler}", "bs=4k", f"count={self.vpc.outbox_bytes // 4096}"),
            capture_output=True,
            timeout=60,
        )
        self.note("inject", "the outbox's disk is filled to its last block")
        self.load.await_more("503", 3)

    def observe(self):
        self.note("impact", "POSTs get 503, and nothing of them is kept; their producers send them again")

    def recover(self):
        self.vpc["laptop"].run("rm", self.filler)
        self.note("recover", "there is room on the disk again")
        self.load.await_more("outbox")
        self.note("heal", "the outbox takes events again, nothing restarted")
        self.vpc.servers["kafka"].start()
        self.note("recover", "the broker runs again")
        self.load.await_more("kafka")
        self.await_empty_outbox()
        self.await_stored("the worker has caught up")

    def clean_up(self):
        self.vpc["laptop"].run("rm", "-f", self.filler)
