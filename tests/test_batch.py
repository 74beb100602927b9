"""POST /metadata/batch: NDJSON in, a result a line out; a bad line never hurts its neighbours."""

import json

import requests
from support import PATIENCE_S, assert_problem, event


def post_lines(server, lines, **headers):
    body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    return requests.post(
        server.url + "/metadata/batch",
        data=body + b"\n",
        headers={"Content-Type": "application/x-ndjson", **headers},
        timeout=PATIENCE_S,
    )


def results_of(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].split(";")[0] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_each_line_gets_its_result_in_order(up):
    server = up()
    ids = [f"b{i}" for i in range(50)]
    results = results_of(post_lines(server, [event(i) for i in ids]))
    assert [r["metadata_id"] for r in results] == ids
    assert {r["status"] for r in results} == {"ok"}
    assert {r["embedding_dim"] for r in results} == {4}
    server.when_stored(ids)


def test_a_bad_line_does_not_hurt_its_neighbours(up):
    server = up()
    lines = [
        event("first"),
        b"{not json",
        event("second"),
        {"metadata_id": "empty", "embedding": []},
        b'{"metadata_id": "nan", "embedding": [1, NaN]}',
        event("third"),
        b"[]",
        event("last"),
    ]
    results = results_of(post_lines(server, lines))
    assert len(results) == len(lines)
    good = [r["metadata_id"] for r in results if r["status"] == "ok"]
    assert good == ["first", "second", "third", "last"]
    assert [r["line"] for r in results] == list(range(1, len(lines) + 1))
    errors = {r["line"]: r["error"] for r in results if r["status"] == "error"}
    assert errors.keys() == {2, 4, 5, 7}
    assert errors[2]["status"] == 400
    assert (errors[4]["status"], errors[4]["field"]) == (422, "embedding")
    assert (errors[5]["status"], errors[5]["field"]) == (422, "embedding[1]")
    assert errors[7]["status"] == 400
    assert all(e["detail"] for e in errors.values())
    server.when_stored(good)


def test_a_line_that_the_log_never_takes_is_refused_alone(up):
    server = up("--log-queue-bytes-max", 1 << 20)
    large = event("large", extra={"noise": "x" * (1 << 20)})
    results = results_of(post_lines(server, [event("first"), large, event("last")]))
    assert [(r["line"], r["status"]) for r in results] == [(1, "ok"), (2, "error"), (3, "ok")]
    assert results[1]["error"]["status"] == 413
    assert "log.queue_bytes_max" in results[1]["error"]["detail"]
    assert "log.queue_bytes_max" in assert_problem(server.post(large), 413)["detail"]
    server.when_stored(["first", "last"])


def test_a_line_without_id_gets_one(up):
    server = up()
    results = results_of(post_lines(server, [event(), event()]))
    ids = {r["metadata_id"] for r in results}
    assert len(ids) == 2
    server.when_stored(ids)


def test_empty_lines_and_a_missing_last_newline_do_no_harm(up):
    server = up()
    body = json.dumps(event("a")).encode() + b"\r\n\n" + json.dumps(event("b")).encode()
    answer = requests.post(
        server.url + "/metadata/batch",
        data=body,
        headers={"Content-Type": "application/x-ndjson"},
        timeout=PATIENCE_S,
    )
    assert [r["metadata_id"] for r in results_of(answer) if r["status"] == "ok"] == ["a", "b"]
    server.when_stored(["a", "b"])


def test_the_last_of_two_lines_with_one_id_wins(up):
    server = up()
    results = results_of(
        post_lines(server, [event("a", extra={"notes": "1"}), event("a", extra={"notes": "2"}), event("end")])
    )
    assert len(results) == 3
    assert server.when_stored(["a", "end"])["a"]["extra"]["notes"] == "2"


def test_more_lines_than_allowed_are_refused_whole(up):
    server = up("--batch-events-max", "3")
    assert_problem(post_lines(server, [event(f"x{i}") for i in range(4)]), 413)
    server.accept(event("after"))
    server.when_stored(["after"])
    results_of(post_lines(server, [event(f"y{i}") for i in range(3)]))


def test_an_empty_batch_is_refused(up):
    server = up()
    answer = requests.post(
        server.url + "/metadata/batch",
        data=b"",
        headers={"Content-Type": "application/x-ndjson"},
        timeout=PATIENCE_S,
    )
    assert_problem(answer, 400)
