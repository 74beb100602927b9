"""What is posted to the processor and its peers, and wrk that posts it."""

import base64
import json
import os
import random
import re
import struct
import subprocess
from dataclasses import dataclass

from frame.process import cpu_seconds
from frame.results import ROOT

# No two events of so many are alike: of one that comes again and again a branch predictor learns the numbers by heart, which it
# can do for nobody's real embeddings.
DIFFERENT_EVENTS = 128
BATCH = 64


@dataclass
class Payload:
    """What one request carries."""

    events: list
    events_a_request: int = 1
    content_type: str = "application/json"
    target: str = "/metadata"

    def file(self, folder):
        path = folder / "events"
        path.write_text("\n".join(self.events) + "\n")
        return path


def payloads(dim=2048):
    """The same events as JSON numbers as Python prints them and as base64 of float32, one a request and in batches."""
    rng = random.Random(20261123)
    common = {
        "source_uri": "file:///data/images/000001.jpg",
        "model_name": "resnet50",
        "gpu_hardware": {"available": True, "device": "cuda", "name": "Tesla T4", "total_memory_gb": 15.84,
                         "multi_processor_count": 40, "cuda_compute_capability": "7.5", "cuda_version": "12.4"},
        "extra": {"pipeline": "bench", "notes": f"{dim} floats as Python prints them"},
    }
    as_json, as_base64 = [], []
    for _ in range(DIFFERENT_EVENTS):
        packed = struct.pack(f"<{dim}f", *(abs(rng.gauss(0, 0.5)) for _ in range(dim)))
        as_json.append(json.dumps(common | {"embedding": struct.unpack(f"<{dim}f", packed)}))
        as_base64.append(json.dumps(common | {"embedding_b64": base64.b64encode(packed).decode()}))
    batch = {"events_a_request": BATCH, "content_type": "application/x-ndjson", "target": "/metadata/batch"}
    return {
        "json": Payload(as_json),
        "base64": Payload(as_base64),
        f"json x{BATCH}": Payload(as_json, **batch),
        f"base64 x{BATCH}": Payload(as_base64, **batch),
    }


def wrk(server, events_file, payload, connections, seconds):
    """Posts as fast as answers come; returns what post.lua prints, and the CPU seconds of the server."""
    env = os.environ | {"EVENTS_FILE": str(events_file), "EVENTS_A_REQUEST": str(payload.events_a_request),
                        "CONTENT_TYPE": payload.content_type, "TARGET": payload.target}
    cpu_before = cpu_seconds(server.pid)
    run = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(ROOT / "bench/post.lua"),
         f"http://{server.host}:{server.port}{payload.target}"],
        env=env, capture_output=True, text=True, check=True, timeout=seconds + 60)
    result = json.loads(re.search(r"RESULT (.*)", run.stdout).group(1))
    result["cpu_s"] = cpu_seconds(server.pid) - cpu_before
    result["events"] = (result["requests"] - result["failed"]) * payload.events_a_request
    return result
