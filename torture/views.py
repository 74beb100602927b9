"""What is there in the end, read without ca4 where that can be: the database's documents, the archive's lines, what is elsewhere."""

import io
import json
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy
import payload
import zstandard
from support import ENVIRONMENT, command_line, run

S3_READERS = 8


@dataclass(frozen=True, slots=True)
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


def archive(names, read):
    """Every line of an archive whose objects have these names; read(name) is the body of one.

    A matrix that is missing or short is no embedding, and so no match.
    """
    found, there = [], set(names)
    for name in sorted(there):
        if not name.endswith(".ndjson.zst"):
            continue
        matrices = {}  # of this part, so that memory is a part's
        with zstandard.open(io.BytesIO(read(name)), "rt") as lines:
            for row in map(json.loads, lines):
                file, at = name.rsplit("/", 1)[0] + "/" + row["embedding_file"], row["embedding_row"]
                if file not in matrices:
                    matrices[file] = numpy.load(io.BytesIO(read(file))) if file in there else numpy.zeros((0, 0))
                found.append(_found(row, matrices[file][at] if at < len(matrices[file]) else [], name))
    return found


def _ndjson(*args, row=lambda made: made):
    """The rows that a command of ca4 prints, each as row() makes it: what is printed is never in memory as a whole."""
    with tempfile.TemporaryFile("w+") as errors:
        argv = command_line([*args, "--format", "ndjson"])
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, text=True, env=ENVIRONMENT, cwd=tempfile.gettempdir()) as shown:
            rows = [row(json.loads(line)) for line in shown.stdout]
        errors.seek(0)
        assert shown.returncode == 0, errors.read()
    return rows


def _letters(*where):
    return [row["key"] for row in _ndjson("dlq", "list", "--limit", "0", *where)]


def stored(data):
    """The documents and the archive's lines of a data directory. Documents are read by `ca4 query`: that file's layout is nobody's interface."""
    documents = _ndjson("query", "--data-dir", data, "--limit", "0", "--with-embedding", row=lambda d: _found(d, d["embedding"]))
    root = Path(data) / "archive"
    names = [str(p.relative_to(root)) for p in root.rglob("*.*") if ".incoming" not in p.parts and p.is_file()]
    return documents, archive(names, lambda name: (root / name).read_bytes())


def is_stored(data, metadata_id):
    return metadata_id in run("query", "--data-dir", data, "--id", metadata_id, "--format", "ndjson").stdout


def of_embedded(data):
    return View(*stored(data), _letters("--data-dir", data))


def of_kafka(world, documents, lines):
    """What `documents` and `lines` of an archive are, with the dead letters and the outboxes of a world whose log is Kafka."""
    log = ["--topic", world.topic, "--kafka-bootstrap", world.broker]
    letters, waiting = _letters(*log, "--data-dir", next(iter(world.outboxes))), 0
    for data, file in world.outboxes.items():
        outbox = ["--data-dir", data, "--kafka-outbox-file", file]
        (stats,) = _ndjson("spool", "stats", "--topic", world.topic, *outbox)
        waiting += stats["waiting"]
        if Path(f"{file}-refused").exists():
            letters += _letters(*log, *outbox, "--outbox")
    return View(documents, lines, letters, waiting, resends=True)


def of_servers(world):
    documents = world.database.server.client()[world.database.name]["gpu_metadata"].find({})
    keys = world.s3.keys(world.bucket)
    # Several at a time: a round leaves thousands of small objects, and on a busy machine each waits for its turn.
    with ThreadPoolExecutor(S3_READERS) as readers:
        objects = dict(zip(keys, readers.map(lambda key: world.s3.get(world.bucket, key), keys), strict=True))
    lines = archive(keys, objects.__getitem__)
    return of_kafka(world, [_found(d, d["embedding"]) for d in documents], lines)
