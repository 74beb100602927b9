"""What is there in the end, read without ca4 where that can be: the database's documents, the archive's lines, what is elsewhere."""

import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy
import payload
import zstandard
from support import run


@dataclass(frozen=True)
class Found:
    id: str
    version: int
    hash: str  # payload.fingerprint()
    place: tuple = ()  # (topic, partition, offset)
    file: str = ""  # of the archive


@dataclass
class View:
    documents: list = field(default_factory=list)
    archive: list = field(default_factory=list)
    letters: list = field(default_factory=list)  # ids of dead letters
    waiting: int = 0  # events in the outbox
    resends: bool = False  # the log may have an event twice, with one version


def _found(row, embedding, file=""):
    place = row["topic"], row["partition"], row["offset"]
    return Found(row["metadata_id"], row["version"], payload.fingerprint(row, embedding), place, file)


def archive(bodies):
    """Every line of an archive, {name: bytes}; a matrix that is missing or short is no embedding, and so no match."""
    matrices = {name: numpy.load(io.BytesIO(body)) for name, body in bodies.items() if name.endswith(".npy")}
    found = []
    for name, body in bodies.items():
        if not name.endswith(".ndjson.zst"):
            continue
        with zstandard.open(io.BytesIO(body), "rt") as lines:
            for row in map(json.loads, lines):
                matrix = matrices.get(name.rsplit("/", 1)[0] + "/" + row["embedding_file"], numpy.zeros((0, 0)))
                at = row["embedding_row"]
                found.append(_found(row, matrix[at] if at < len(matrix) else [], name))
    return found


def _ndjson(*args):
    """The rows that a command of ca4 prints."""
    shown = run(*args, "--format", "ndjson", timeout=300)
    assert shown.returncode == 0, shown.stderr
    return [json.loads(line) for line in shown.stdout.splitlines()]


def _letters(*where):
    return [row["key"] for row in _ndjson("dlq", "list", "--limit", "0", *where)]


def of_embedded(data):
    """The view of a data directory. Its documents are read by `ca4 query`: that file's layout is nobody's interface."""
    documents = _ndjson("query", "--data-dir", data, "--limit", "0", "--with-embedding")
    root = Path(data) / "archive"
    bodies = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*.*") if ".incoming" not in p.parts and p.is_file()}
    return View([_found(d, d["embedding"]) for d in documents], archive(bodies), _letters("--data-dir", data))


def of_servers(world):
    documents = world.database.server.client()[world.database.name]["gpu_metadata"].find({})
    bodies = {key: world.s3.get(world.bucket, key) for key in world.s3.keys(world.bucket)}
    flags = ["--kafka-bootstrap", world.broker, "--topic", world.topic, "--data-dir", world.folder / "serve"]
    outbox = ["--kafka-outbox-file", world.outbox]
    (stats,) = _ndjson("spool", "stats", "--topic", world.topic, "--data-dir", world.folder / "serve", *outbox)
    letters = _letters(*flags)
    if Path(f"{world.outbox}-refused").exists():
        letters += _letters(*flags, *outbox, "--outbox")
    return View([_found(d, d["embedding"]) for d in documents], archive(bodies), letters, stats["waiting"], resends=True)
