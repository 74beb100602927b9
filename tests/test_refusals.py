"""What is refused, with which status, and that the answer names the field."""

import base64
import gzip
import json
import struct

import pytest
import requests
import zstandard
from support import PATIENCE_S, assert_problem, documents, event, running

JSON = {"Content-Type": "application/json"}


def post_bytes(server, body, path="/metadata", headers=None):
    return requests.post(server.url + path, data=body, headers=headers or JSON, timeout=PATIENCE_S)


def b64(*numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


INVALID = {
    "embedding missing": ("embedding", {}),
    "embedding null": ("embedding", {"embedding": None}),
    "embedding empty": ("embedding", {"embedding": []}),
    "embedding no list": ("embedding", {"embedding": "1,2"}),
    "embedding object": ("embedding", {"embedding": {"0": 1}}),
    "string among numbers": ("embedding[1]", {"embedding": [1, "2", 3]}),
    "null among numbers": ("embedding[2]", {"embedding": [1, 2, None]}),
    "list among numbers": ("embedding[0]", {"embedding": [[1], 2]}),
    "true among numbers": ("embedding[0]", {"embedding": [True]}),
    "too large for float32": ("embedding[0]", {"embedding": [1e39]}),
    "wrong dimension": ("embedding_dim", {"embedding": [1, 2], "embedding_dim": 3}),
    "dimension no integer": ("embedding_dim", {"embedding": [1, 2], "embedding_dim": "2"}),
    "dimension fraction": ("embedding_dim", {"embedding": [1, 2], "embedding_dim": 2.5}),
    "too many floats": ("embedding", {"embedding": [0] * 65537}),
    "id empty": ("metadata_id", {"metadata_id": "", "embedding": [1]}),
    "id no string": ("metadata_id", {"metadata_id": 7, "embedding": [1]}),
    "id too long": ("metadata_id", {"metadata_id": "x" * 513, "embedding": [1]}),
    "id with control character": ("metadata_id", {"metadata_id": "a\nb", "embedding": [1]}),
    "source_uri number": ("source_uri", {"source_uri": 1, "embedding": [1]}),
    "extra no object": ("extra", {"extra": [1], "embedding": [1]}),
    "timestamp text": ("timestamp", {"timestamp": "now", "embedding": [1]}),
    "model_name number": ("model_name", {"model_name": 1, "embedding": [1]}),
    "base64 broken": ("embedding_b64", {"embedding_b64": "!!!!"}),
    "base64 half a float": ("embedding_b64", {"embedding_b64": base64.b64encode(b"123456").decode()}),
    "base64 empty": ("embedding_b64", {"embedding_b64": ""}),
    "base64 NaN": ("embedding_b64[1]", {"embedding_b64": b64(1, float("nan"))}),
    "base64 infinity": ("embedding_b64[1]", {"embedding_b64": b64(1, float("inf"))}),
    "both forms": ("embedding_b64", {"embedding": [1], "embedding_b64": b64(1)}),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all: nothing here is ever stored."""
    with running("up", tmp_path_factory.mktemp("refusals"), "--body-bytes-max", str(1 << 20)) as server:
        yield server


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_field_is_refused_by_name(server, name):
    field, payload = INVALID[name]
    assert_problem(server.post(payload), 422, field)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused_by_name(server, number):
    answer = post_bytes(server, b'{"embedding": [0.5, %s]}' % number.encode())
    assert_problem(answer, 422, "embedding[1]")


def test_what_python_writes_for_nan_is_refused_by_name(server):
    answer = post_bytes(server, json.dumps({"embedding": [float("nan")]}).encode())
    assert_problem(answer, 422, "embedding[0]")


@pytest.mark.parametrize(
    "body",
    [b"", b"   ", b"{", b"nonsense", b'{"embedding": [1,]}', b'{"embedding": [1]} x', b"[1]", b'"x"', b"\xff\xfe"],
    ids=repr,
)
def test_a_malformed_body_is_400(server, body):
    assert_problem(post_bytes(server, body), 400)


def test_nesting_without_end_is_refused(server):
    deep = b'{"embedding": [1], "extra": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}"
    assert post_bytes(server, deep).status_code in (400, 422)
    assert server.get("/livez").status_code == 200


def test_an_unknown_path_is_404(server):
    assert_problem(server.get("/nowhere"), 404)
    assert_problem(post_bytes(server, b"{}", "/metadata/"), 404)


@pytest.mark.parametrize(
    "method, path, allowed",
    [
        ("GET", "/metadata", "POST"),
        ("PUT", "/metadata", "POST"),
        ("DELETE", "/metadata/batch", "POST"),
        ("POST", "/health", "GET"),
        ("POST", "/metrics", "GET"),
        ("OPTIONS", "/metadata", "POST"),
    ],
)
def test_another_method_is_405_and_says_which_are_allowed(server, method, path, allowed):
    answer = requests.request(method, server.url + path, timeout=PATIENCE_S)
    assert_problem(answer, 405)
    assert allowed in [m.strip() for m in answer.headers["Allow"].split(",")]


def test_a_body_over_the_limit_is_413(server):
    body = json.dumps(event(notes="x" * (1 << 20))).encode()
    assert_problem(post_bytes(server, body), 413)


@pytest.mark.parametrize("given", ["text/plain", "application/xml", "multipart/form-data; boundary=x"])
def test_another_content_type_is_415(server, given):
    answer = post_bytes(server, b'{"embedding": [1]}', headers={"Content-Type": given})
    assert_problem(answer, 415)


@pytest.mark.parametrize("given", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_with_parameters_or_capitals_is_taken(server, given):
    answer = post_bytes(server, b'{"embedding": [1]}', headers={"Content-Type": given})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, br", "nonsense"])
def test_an_unknown_content_encoding_is_415(server, coding):
    answer = post_bytes(server, b'{"embedding": [1]}', headers=JSON | {"Content-Encoding": coding})
    assert_problem(answer, 415)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_compressed_body_is_taken(server, coding):
    plain = json.dumps(event()).encode()
    packed = gzip.compress(plain) if coding == "gzip" else zstandard.compress(plain)
    answer = post_bytes(server, packed, headers=JSON | {"Content-Encoding": coding})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("damage", ["cut off", "no such data"])
def test_a_damaged_compressed_body_is_400(server, coding, damage):
    plain = json.dumps(event(dim=100)).encode()
    packed = gzip.compress(plain) if coding == "gzip" else zstandard.compress(plain)
    body = packed[:-9] if damage == "cut off" else b"nothing compressed"
    assert_problem(post_bytes(server, body, headers=JSON | {"Content-Encoding": coding}), 400)


def test_a_refused_event_leaves_no_document(up):
    server = up()
    assert server.post({"metadata_id": "bad", "embedding": []}).status_code == 422
    server.accept(event("good"))
    server.when_stored(["good"])
    assert [d["metadata_id"] for d in documents(server.data_dir)] == ["good"]
