"""Measures the MongoDB store against nx-27017, the durable server of the tests; prints a table. Part of bench/run.py."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "lab"))

from mongo_server import NxServer  # noqa: E402


def rows(scratch, documents=1024, dim=2048):
    server = NxServer(Path(tempfile.mkdtemp(dir=scratch))).start()
    try:
        # The server, not its client, is what takes the time: it reads a whole collection before it answers a scan.
        patient = server.uri + "?socketTimeoutMS=300000"
        run = subprocess.run(
            [ROOT / "build/release/bench/mongo_bench", patient, str(documents), str(dim)],
            stdout=subprocess.PIPE, text=True, check=True)
    finally:
        server.kill()
    result = json.loads(run.stdout)
    return [{
        "embedding": form, "documents": result["documents"], "dim": dim, "BSON bytes": result[form]["bson_bytes_each"],
        "to BSON CPU µs": result[form]["encode"]["cpu_us_each"], "from BSON CPU µs": result[form]["decode"]["cpu_us_each"],
        "upserts/s": result[form]["insert"]["per_s"], "upsert CPU µs": result[form]["insert"]["cpu_us_each"],
        "redelivered CPU µs": result[form]["redelivered"]["cpu_us_each"],
        "scanned/s": result[form]["scanned"]["per_s"], "scan CPU µs": result[form]["scanned"]["cpu_us_each"],
    } for form in ("array", "vector")]


if __name__ == "__main__":
    from frame.results import table

    with tempfile.TemporaryDirectory() as scratch:
        found = rows(scratch)
    print(table(found))
