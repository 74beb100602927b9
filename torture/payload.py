"""Events to send, and what is compared of them: computed here from what was sent and what is found, never taken from ca4."""

import base64
import hashlib
import json
import math

import numpy

# What producers send and every document and archive line must still have, besides the embedding.
KEPT = ("metadata_id", "source_uri", "model_name", "timestamp", "gpu_hardware", "extra")


def fingerprint(fields, embedding):
    """The hash of an event, a document or an archive line; the embedding is anything that is a row of float32."""
    kept = {name: fields.get(name) for name in KEPT}
    floats = numpy.asarray(embedding, dtype="<f4").tobytes()
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode() + b"\0" + floats).hexdigest()[:32]


def make(rng, metadata_id, revision):
    """An event of this id: (fields, embedding). It grows with each revision, so that no two are alike."""
    # One in a hundred as large as those of real models. Few dimensions: each is a file of its own in a part of the archive.
    dim = 2048 if rng.random() < 0.01 else rng.choice((4, 64, 64, 128)) + revision % 2
    # 24 bits, as many as a float32 has, of [-1, 1).
    embedding = ((numpy.frombuffer(rng.randbytes(4 * dim), dtype="<u4") >> 8) / (1 << 23) - 1).astype("<f4")
    fields = {
        "metadata_id": metadata_id,
        "source_uri": f"file:///torture/{metadata_id}/{revision}.jpg",
        "model_name": rng.choice(("resnet50", "clip-vit", "modèle-é")),
        "timestamp": 1_700_000_000 + rng.randrange(1 << 24) + 0.5,
        "gpu_hardware": {"available": True, "device": "cuda", "name": f"T{rng.randrange(9)}", "total_memory_gb": 15.5},
        "extra": {"pipeline": "torture", "revision": revision, "notes": "x" * (revision * 17 % 600)},
    }
    return fields, embedding


def body(fields, embedding, compact):
    """The event's JSON, its embedding as numbers or, compact, as base64."""
    if compact:
        return json.dumps(fields | {"embedding_b64": base64.b64encode(embedding.tobytes()).decode()})
    return json.dumps(fields | {"embedding": embedding.tolist()})


# What must be refused, whatever else goes on: (name, what is put over a valid event).
BAD = (
    ("empty", {"embedding": []}),
    ("not-finite", {"embedding": [1, math.nan]}),
    ("wrong-dim", {"embedding": [1, 2], "embedding_dim": 3}),
    ("no-list", {"embedding": "1,2"}),
)


def bad_body(rng, fields):
    """A JSON that no processor may take."""
    return json.dumps(fields | rng.choice(BAD)[1])
