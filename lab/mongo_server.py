"""The MongoDB-compatible servers (scripts/setup-mongo.sh), and a database for each test.

nx-27017 keeps what it acknowledged through kill -9. mongo-java-server is the second opinion: it holds everything in
memory, speaks TLS, and fails on demand. Its upserts read the whole collection: a few thousand documents are its limit.
"""

import itertools
import os
import subprocess

import pymongo
from basics import ROOT
from server_process import HERE, ServerProcess, free_port

DEPS = ROOT / ".deps/mongo"
_database_numbers = itertools.count()


class MongoServer(ServerProcess):
    """What both have in common."""

    def __init__(self, name, argv, folder, port, options="", host=HERE):
        # Only what runs on a host of its own can't be asked from here.
        ready = self.answers_ping if host is HERE else lambda: host.connects(host.address, port)
        super().__init__(name, host.inside(*argv), folder / f"{name}.log", cwd=folder, ready=ready)
        self.port = port
        self.options = options
        self.uri = f"mongodb://{host.address}:{port}/{options}"

    def answers_ping(self):
        try:
            with self.client(serverSelectionTimeoutMS=1000) as client:
                return client.admin.command("ping")["ok"] == 1
        except pymongo.errors.PyMongoError:
            return False

    def client(self, **options):
        return pymongo.MongoClient(self.uri, retryWrites=False, **options)


class NxServer(MongoServer):
    def __init__(self, folder, host=HERE, port=None):
        assert DEPS.is_dir(), "run scripts/setup.sh test"
        port = port or free_port()
        argv = [DEPS / "nx/bin/python", ROOT / "lab/nx_server.py", "--data-dir", folder / "nx-data"]
        argv += ["--host", host.address, "-p", port, "--log-file", folder / "nx-own.log", "--pid-file", folder / "nx.pid"]
        (folder / "nx-data").mkdir()
        super().__init__("nx-27017", argv, folder, port, host=host)


class JavaServer(MongoServer):
    def __init__(self, folder, tls=None):
        assert DEPS.is_dir(), "run scripts/setup.sh test"
        port = free_port()
        self.fault_file = folder / "fault"
        argv = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        argv += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        argv += ["-cp", f"{DEPS}/java/lib/*:{DEPS}/java/classes", "MongoServerMain", port, self.fault_file]
        options = ""
        if tls is not None:
            argv += [tls.key, tls.certificate]
            options = f"?tls=true&tlsCAFile={tls.ca}"
        super().__init__("mongo-java-server", argv, folder, port, options)

    def fail_updates(self, fault):
        """ "refuse CODE TEXT" or "unconfirmed CODE TEXT", until heal()."""
        new = self.fault_file.with_suffix(".new")
        new.write_text(fault)
        new.rename(self.fault_file)

    def heal(self):
        self.fault_file.unlink()


class Tls:
    """A certificate for 127.0.0.1 and localhost and the CA that signed it; and a CA that did not."""

    def __init__(self, folder):
        self.ca, self.other_ca = folder / "ca.pem", folder / "other-ca.pem"
        self.key, self.certificate = folder / "server.key", folder / "server.pem"
        for ca in (self.ca, self.other_ca):
            self._openssl(
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                f"/CN={ca.stem}",
                "-keyout",
                ca.with_suffix(".key"),
                "-out",
                ca,
            )
        request = folder / "server.csr"
        self._openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ca4-test", "-keyout", self.key, "-out", request
        )
        names = folder / "names.cnf"
        names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:db.cluster.ca4.test\n")
        self._openssl(
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            request,
            "-CA",
            self.ca,
            "-CAkey",
            self.ca.with_suffix(".key"),
            "-CAcreateserial",
            "-extfile",
            names,
            "-out",
            self.certificate,
        )

    @staticmethod
    def _openssl(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


class Database:
    """A database of its own for one test, on a server that it may share."""

    def __init__(self, server, uri=None):
        self.server = server
        self.name = f"t{os.getpid()}_{next(_database_numbers)}"
        self.env = {"MONGO_URI": uri or server.uri, "MONGO_DB": self.name}
        self.client = server.client()
        self.collection = self.client[self.name]["gpu_metadata"]

    def ids(self):
        return {d["_id"] for d in self.collection.find({}, {"_id": 1})}

    def holds(self, ids):
        return set(ids) <= self.ids()

    def get(self, metadata_id):
        return self.collection.find_one({"_id": metadata_id})
