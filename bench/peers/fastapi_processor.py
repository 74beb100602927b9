"""A processor as it is usually written: FastAPI, pydantic, kafka-python. A peer of `ca4 serve` in bench/api.py.

It takes the same requests and writes the same topic. It answers when the record is in the client's buffer (`send` without waiting for
its future, acknowledgements as kafka-python has them by default), as nearly all of its kind do: what a broker does not take then is lost.
Environment: KAFKA_BOOTSTRAP, KAFKA_TOPIC.
"""

import base64
import json
import os
import struct
import time
import uuid
from typing import Any

from fastapi import FastAPI, HTTPException
from kafka import KafkaProducer
from pydantic import BaseModel, Field

TOPIC = os.environ["KAFKA_TOPIC"]

app = FastAPI()
producer = KafkaProducer(
    bootstrap_servers=os.environ["KAFKA_BOOTSTRAP"].split(","),
    key_serializer=lambda key: key.encode(),
    value_serializer=lambda value: json.dumps(value).encode(),
)


class Metadata(BaseModel):
    metadata_id: str = Field(default_factory=lambda: str(uuid.uuid4()))
    embedding: list[float] | None = None
    embedding_b64: str | None = None
    source_uri: str | None = None
    model_name: str | None = None
    gpu_hardware: dict[str, Any] | None = None
    extra: dict[str, Any] = {}


@app.post("/metadata")
def post_metadata(metadata: Metadata):
    embedding = metadata.embedding
    if metadata.embedding_b64 is not None:
        packed = base64.b64decode(metadata.embedding_b64)
        embedding = struct.unpack(f"<{len(packed) // 4}f", packed)
    if not embedding:
        raise HTTPException(422, "embedding is required")
    event = metadata.model_dump(exclude={"embedding", "embedding_b64"})
    event |= {"embedding": embedding, "embedding_dim": len(embedding), "ingested_at": time.time()}
    producer.send(TOPIC, key=metadata.metadata_id, value=event)
    return {"status": "ok", "message": "sent", "metadata_id": metadata.metadata_id, "embedding_dim": len(embedding),
            "kafka_enabled": True, "outbox_enabled": False}


@app.get("/health")
def health():
    return {"status": "healthy"}
