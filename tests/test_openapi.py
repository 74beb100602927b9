"""The description at /openapi.json against the live server."""

import subprocess
import sys
from pathlib import Path

import pytest
import requests
from jsonschema_rs import validator_for
from support import ENVIRONMENT, PATIENCE_S, event

SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
]


@pytest.fixture
def description(up):
    server = up()
    answer = server.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].split(";")[0] in ("application/json", "application/vnd.oai.openapi+json")
    return answer.json()


def test_the_description_names_what_the_server_serves(description):
    assert description["openapi"].startswith("3.")
    operations = {(method, path) for path, item in description["paths"].items() for method in item}
    assert operations >= {
        ("post", "/metadata"),
        ("post", "/metadata/batch"),
        ("get", "/health"),
        ("get", "/livez"),
        ("get", "/readyz"),
        ("get", "/metrics"),
        ("get", "/openapi.json"),
    }


def test_every_operation_says_how_it_answers(description):
    for path, item in description["paths"].items():
        for method, operation in item.items():
            assert operation["responses"], (method, path)
            assert operation.get("summary") or operation.get("description"), (method, path)


def test_the_event_schema_takes_what_the_server_takes(description):
    content = description["paths"]["/metadata"]["post"]["requestBody"]["content"]["application/json"]
    schema = content["schema"] | {"components": description.get("components", {})}
    validator = validator_for(schema)
    assert validator.is_valid(event("a", gpu_hardware={"available": False}, extra={"notes": "x"}, future=1))
    assert validator.is_valid({"embedding_b64": "AACAPw=="})
    for wrong in ({}, {"embedding": []}, {"embedding": ["x"]}, {"embedding": [1], "metadata_id": ""}):
        assert not validator.is_valid(wrong), wrong


def test_the_live_server_answers_as_described(up, tmp_path):
    server = up()
    server.accept(event("a"))
    result = subprocess.run(
        [SCHEMATHESIS, "run", server.url + "/openapi.json"]
        + ["--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"]
        + ["--max-examples", "30", "--seed", "1", "--workers", "1", "--generation-database", "none"]
        + ["--suppress-health-check", "all", "--request-timeout", str(PATIENCE_S), "--no-color"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=ENVIRONMENT | {"SCHEMATHESIS_HOOKS": str(Path(__file__).with_name("schemathesis_ndjson.py"))},
        timeout=480,
    )
    assert result.returncode == 0, result.stdout[-20000:] + result.stderr[-2000:]
    assert requests.get(server.url + "/livez", timeout=PATIENCE_S).status_code == 200
