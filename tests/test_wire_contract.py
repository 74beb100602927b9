"""The fixed names and shapes that notebooks, scripts and consumers depend on."""

import base64
import struct
import time
import uuid

import numpy
import pytest
from support import documents, event

NOTEBOOK_GPU = {
    "available": True,
    "device": "cuda",
    "name": "Tesla T4",
    "total_memory_gb": 14.75,
    "multi_processor_count": 40,
    "cuda_compute_capability": "7.5",
    "memory_allocated_mb": 97.1,
    "memory_reserved_mb": 120.0,
    "cuda_version": "12.1",
    "pytorch_version": "2.3.0",
    "cudnn_version": 8902,
}
NO_GPU = {"available": False, "device": "cpu", "reason": "CUDA not available"}


def test_an_accepted_event_is_answered_with_every_promised_key(up):
    answer = up().accept(event("img-cat-1700000000", dim=3))
    assert answer["status"] == "ok"
    assert isinstance(answer["message"], str)
    assert answer["metadata_id"] == "img-cat-1700000000"
    assert answer["embedding_dim"] == 3
    assert isinstance(answer["kafka_enabled"], bool)
    assert isinstance(answer["outbox_enabled"], bool)


def test_an_event_without_id_gets_a_time_ordered_uuid(up):
    server = up()
    before_ms = time.time_ns() // 1_000_000
    made = [uuid.UUID(server.accept(event())["metadata_id"]) for _ in range(3)]
    after_ms = time.time_ns() // 1_000_000
    assert {u.version for u in made} == {7}
    assert len(set(made)) == 3
    for u in made:
        assert before_ms <= u.int >> 80 <= after_ms


def test_health_has_every_promised_key(up):
    answer = up().get("/health")
    assert answer.status_code == 200
    health = answer.json()
    assert health["status"] == "healthy"
    assert {"kafka_bootstrap", "kafka_enabled", "outbox_file", "outbox_enabled"} <= health.keys()
    assert isinstance(health["kafka_enabled"], bool)
    assert isinstance(health["outbox_enabled"], bool)


def test_a_document_has_every_promised_field(up):
    server = up()
    before = time.time()
    sent = event("a", dim=5, gpu_hardware=NOTEBOOK_GPU, extra={"pipeline": "p"})
    server.accept(sent)
    after = time.time()
    document = server.when_stored(["a"])["a"]
    assert document["metadata_id"] == "a"
    assert document["source_uri"] == "file:///a.jpg"
    assert document["embedding_dim"] == 5
    assert document["gpu_hardware"] == NOTEBOOK_GPU
    assert document["extra"] == {"pipeline": "p"}
    assert document["topic"] == "gpu-metadata"
    assert document["partition"] == 0
    assert document["offset"] == 0
    # Unix seconds as a float, cut to microseconds.
    assert isinstance(document["ingested_at"], float)
    assert before - 0.001 <= document["ingested_at"] <= after + 0.001
    assert numpy.array_equal(numpy.float32(document["embedding"]), numpy.float32(sent["embedding"]))


def test_the_pipeline_of_an_event_without_one_is_unknown(up):
    server = up()
    server.accept(event("none"))
    server.accept(event("empty", extra={}))
    server.accept(event("notes", extra={"notes": "kept"}))
    found = server.when_stored(["none", "empty", "notes"])
    assert found["none"]["extra"] == {"pipeline": "unknown"}
    assert found["empty"]["extra"] == {"pipeline": "unknown"}
    assert found["notes"]["extra"] == {"notes": "kept", "pipeline": "unknown"}


def test_gpu_hardware_is_taken_from_extra_when_it_is_not_at_the_top(up):
    server = up()
    server.accept(event("inner", extra={"gpu_hardware": NO_GPU}))
    server.accept(event("both", gpu_hardware=NOTEBOOK_GPU, extra={"gpu_hardware": NO_GPU}))
    found = server.when_stored(["inner", "both"])
    assert found["inner"]["gpu_hardware"] == NO_GPU
    assert found["both"]["gpu_hardware"] == NOTEBOOK_GPU


@pytest.mark.parametrize("gpu", [None, "T4", 3, [1, "x"], True, {"anything": {"nested": []}}])
def test_gpu_hardware_may_be_any_json(up, gpu):
    server = up()
    server.accept(event("a", gpu_hardware=gpu))
    assert server.when_stored(["a"])["a"]["gpu_hardware"] == gpu


def test_model_fields_and_timestamp_are_kept(up):
    server = up()
    given = {"source_type": "image", "model_name": "resnet50", "model_version": "v2", "timestamp": 1700000000.25}
    server.accept(event("a", **given))
    document = server.when_stored(["a"])["a"]
    assert {key: document[key] for key in given} == given


def test_unknown_fields_are_kept(up):
    server = up()
    unknown = {"camera": {"iso": 100}, "été ☀": ["ü", None], "n": 1.5}
    server.accept(event("a", extra={"pipeline": "p", "future": [1, {"x": None}]}, **unknown))
    document = server.when_stored(["a"])["a"]
    assert {key: document[key] for key in unknown} == unknown
    assert document["extra"]["future"] == [1, {"x": None}]


def test_source_uri_may_be_null_or_absent(up):
    server = up()
    server.accept(event("null", source_uri=None))
    server.accept({"metadata_id": "absent", "embedding": [1]})
    found = server.when_stored(["null", "absent"])
    assert found["null"]["source_uri"] is None
    assert found["absent"]["source_uri"] is None


def test_any_unicode_id_comes_back_as_it_was_given(up):
    server = up()
    ids = ["img-été-1", "空 間", "a/b?c=d&e%20", "😀", '"quoted"\\']
    for i in ids:
        assert server.accept(event(i))["metadata_id"] == i
    server.when_stored(ids)


def test_base64_floats_give_the_same_document_as_a_list(up):
    server = up()
    numbers = numpy.float32(numpy.random.default_rng(1).standard_normal(2048))
    as_text = base64.b64encode(numbers.astype("<f4").tobytes()).decode()
    assert server.accept({"metadata_id": "b64", "embedding_b64": as_text})["embedding_dim"] == 2048
    server.accept({"metadata_id": "list", "embedding": [float(x) for x in numbers]})
    found = server.when_stored(["b64", "list"])
    assert numpy.array_equal(numpy.float32(found["b64"]["embedding"]), numbers)
    assert found["b64"]["embedding"] == found["list"]["embedding"]


def test_floats_keep_single_precision(up):
    server = up()
    numbers = [1e-45, 3.4028234e38, -0.1, 16777217.0, 2**-149, 1 / 3]
    server.accept({"metadata_id": "a", "embedding": numbers})
    stored = server.when_stored(["a"])["a"]["embedding"]
    assert [struct.pack("<f", x) for x in stored] == [struct.pack("<f", x) for x in numbers]


def test_a_repeated_post_is_one_document(up):
    server = up()
    for _ in range(3):
        server.accept(event("a"))
    server.accept(event("last"))
    server.when_stored(["last"])
    assert sorted(d["metadata_id"] for d in documents(server.data_dir)) == ["a", "last"]


def test_another_payload_under_the_same_id_is_an_update(up):
    server = up()
    server.accept(event("a", embedding=[1, 2], extra={"notes": "first"}))
    server.accept(event("a", embedding=[3, 4, 5], extra={"notes": "second"}))
    server.accept(event("last"))
    document = server.when_stored(["a", "last"])["a"]
    assert document["extra"]["notes"] == "second"
    assert document["embedding"] == [3, 4, 5]
    assert document["embedding_dim"] == 3


def test_the_largest_embedding_is_accepted(up):
    assert up().accept({"embedding": [0.5] * 65536})["embedding_dim"] == 65536
