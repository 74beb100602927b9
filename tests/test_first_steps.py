"""What README and `ca4 --help` give a new user to type, typed."""

import json
import re
import subprocess

import pytest
from server_process import free_port
from support import BINARY, ENVIRONMENT, MODEL, PATIENCE_S, PHOTOS, ROOT, run


@pytest.fixture
def typed(tmp_path):
    """Runs lines in bash, in a folder of its own, `ca4 up` on a free port; ends what they leave in the background."""

    def play(lines, port):
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/ca4").symlink_to(BINARY)
        env = ENVIRONMENT | {"PATH": f"{tmp_path}/bin:{ENVIRONMENT['PATH']}"}
        env |= {"CA4_PROCESSOR_LISTEN": f"127.0.0.1:{port}", "CA4_PRODUCER_ENDPOINT": f"http://127.0.0.1:{port}"}
        script = "set -e\ntrap 'kill $!; wait $!' EXIT\n" + lines
        # Ends the whole group, what is in the background too.
        command = ["timeout", str(2 * PATIENCE_S), "bash", "-c", script]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)

    return play


def test_the_readmes_sixty_seconds(typed, tmp_path):
    (block,) = re.findall(r"^## Sixty seconds.*?^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    setup, lines = block.split("\n", 1)
    assert re.match(r"make setup-demo build\b", setup)  # has been run, or this test could not
    (tmp_path / "build/release").mkdir(parents=True)
    (tmp_path / "build/release/ca4").symlink_to(BINARY)
    (tmp_path / ".deps").symlink_to(ROOT / ".deps")
    port = free_port()
    assert "localhost:8000/" in lines
    ran = typed(lines.replace("localhost:8000/", f"localhost:{port}/"), port)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert '"metadata_id":"img-cat-1700000000"' in ran.stdout.replace(" ", "")
    assert "chelsea.png" in ran.stdout


def test_the_example_of_help(typed, tmp_path):
    lines = re.search(r"^Example: .*\n((?:  ca4 .*\n)+)", run("--help").stdout, re.MULTILINE)[1]
    (tmp_path / "photos").mkdir()
    for photo, name in (("chelsea.png", "cat.jpg"), ("coffee.png", "coffee.png")):
        (tmp_path / "photos" / name).symlink_to(PHOTOS / photo)
    (tmp_path / "model.onnx").symlink_to(MODEL)
    ran = typed(lines, free_port())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "cat.jpg" in ran.stdout


def test_many_events_by_curl_as_the_producers_page_has_it(up, tmp_path):
    server = up()
    page = (ROOT / "docs/producer.md").read_text()
    (line,) = re.findall(r"^```sh\n(curl .*metadata/batch.*)\n```", page, re.MULTILINE)
    (tmp_path / "events.ndjson").write_text('{"embedding": [1]}\n{"embedding": []}\n{"embedding_b64": "AACAPw=="}\n')
    line = line.replace("https://name.ngrok-free.app", server.url)
    ran = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S)
    assert [json.loads(answer)["status"] for answer in ran.stdout.splitlines()] == ["ok", "error", "ok"]
