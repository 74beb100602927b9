"""`ca4 serve --tunnel`, with an agent that behaves like the real ones' interfaces (tests/fake_agent.py)."""

import json
import os
import pty
import re
import signal
import stat
import subprocess
import sys

import pytest
import requests
from support import BINARY, ENVIRONMENT, MODEL, PATIENCE_S, PHOTOS, ROOT, event, eventually, run


@pytest.fixture
def agent(tmp_path):
    """The stand-in as a program that needs no `python3` in PATH."""
    path = tmp_path / "agent"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/fake_agent.py "$@"\n')
    path.chmod(0o755)
    return path


def public_urls(server):
    return re.findall(r"^public at (\S+)$", server.printed(), re.MULTILINE)


def agent_of(server):
    """Its number. The other child of the server is the guard that ends the agent with it."""
    children = subprocess.run(["pgrep", "-P", str(server.pid), "-f", "fake_agent.py"], capture_output=True, text=True)
    return int(children.stdout)


def test_ngrok_gives_a_public_url_that_asks_for_the_token(serve, agent, tmp_path):
    server = serve("serve", tmp_path / "data", "--tunnel", "ngrok", "--tunnel-command", agent)
    (url,) = eventually(lambda: public_urls(server), "the public URL is printed")
    file = tmp_path / "data/tunnel-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert str(file) in server.said()
    assert "as they are" not in server.said()  # it is handed out from there
    token = file.read_text().strip()
    assert re.fullmatch("ca4_[0-9a-f]{64}", token)
    assert requests.post(url + "/metadata", json=event("a"), timeout=PATIENCE_S).status_code == 401
    answer = requests.post(url + "/metadata", json=event("a"), headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_S)
    assert answer.status_code == 200
    # What is printed into a file is no place for a secret.
    assert token not in server.printed() + server.said()
    assert f'ENDPOINT = "{url}"' in server.printed()
    assert str(file) in server.printed()


def test_the_token_of_before_stays(serve, agent, tmp_path):
    flags = ["--tunnel", "ngrok", "--tunnel-command", agent]
    serve("serve", tmp_path / "data", *flags).stop()
    before = (tmp_path / "data/tunnel-token").read_text()
    serve("serve", tmp_path / "data", *flags)
    assert (tmp_path / "data/tunnel-token").read_text() == before


def test_a_producer_knows_the_processor_under_its_next_url(serve, ca4, agent, tmp_path):
    flags = ["--tunnel", "ngrok", "--tunnel-command", agent]

    def produce():
        server = serve("up", tmp_path / "data", *flags)
        (url,) = eventually(lambda: public_urls(server), "the public URL is printed")
        token = ["--token-file", tmp_path / "data/tunnel-token"]
        made = ca4("produce", PHOTOS, "--endpoint", url, *token, "--model", MODEL, "--journal", tmp_path / "journal", "--json")
        assert made.returncode == 0, made.stderr
        server.stop()
        return url, json.loads(made.stdout)

    (first, one), (second, other) = produce(), produce()
    assert first != second
    assert one["sent"] == other["already_sent"] > 0
    assert other["sent"] == 0


# On a file system of one page, which is taken; it is gone with its end.
ON_A_FULL_DISK = 'mount -t tmpfs -o size=4k full "$0" && head -c 4096 /dev/zero > "$0/taken"; "$@"; ls "$0/data"'


def test_a_full_disk_leaves_no_empty_token_file_that_would_keep_every_later_start_from_its_tokens(agent, tmp_path):
    (tmp_path / "disk").mkdir()
    ended = run(
        "serve", "--data-dir", tmp_path / "disk/data", "--tunnel", "ngrok", "--tunnel-command", agent,
        prefix=["unshare", "--mount", "sh", "-c", ON_A_FULL_DISK, tmp_path / "disk"],
    )  # fmt: skip
    assert "tunnel-token: No space left on device" in ended.stderr
    assert ended.stdout == ""


def test_a_token_file_that_was_given_is_used(serve, agent, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("a-token-for-this-test\n")
    server = serve("up", tmp_path / "data", "--token-file", tokens, "--tunnel", "ngrok", "--tunnel-command", agent)
    (url,) = eventually(lambda: public_urls(server), "the public URL is printed")
    assert not (tmp_path / "data/tunnel-token").exists()
    headers = {"Authorization": "Bearer a-token-for-this-test"}
    assert requests.post(url + "/metadata", json=event("a"), headers=headers, timeout=PATIENCE_S).status_code == 200


def test_a_domain_without_a_tunnel_is_told(serve, tmp_path):
    server = serve("serve", tmp_path / "data", "--tunnel-domain", "name.ngrok-free.app")
    eventually(lambda: "name.ngrok-free.app is not made public: that takes --tunnel ngrok" in server.said(), "it says so")


def test_an_agent_that_dies_is_started_again(serve, agent, tmp_path):
    server = serve("serve", tmp_path / "data", "--tunnel", "ngrok", "--tunnel-command", agent)
    eventually(lambda: public_urls(server), "the public URL is printed")
    pid = agent_of(server)
    os.kill(pid, signal.SIGKILL)
    first, second = eventually(lambda: len(public_urls(server)) == 2 and public_urls(server), "a second URL is printed")
    assert first != second
    assert "has ended with signal 9 (KILL)" in server.said()
    assert requests.post(second + "/metadata", json=event("a"), timeout=PATIENCE_S).status_code == 401


def test_the_agent_ends_with_the_server_however_that_ends(serve, agent, tmp_path):
    def gone(pid):
        return not os.path.exists(f"/proc/{pid}") or b"Z" in open(f"/proc/{pid}/stat", "rb").read().split()[2:3]

    for end in (signal.SIGTERM, signal.SIGKILL):
        server = serve("serve", tmp_path / "data", "--tunnel", "ngrok", "--tunnel-command", agent)
        eventually(lambda: public_urls(server), "the public URL is printed")
        pid = agent_of(server)
        server.signal(end)
        assert server.wait() == (0 if end == signal.SIGTERM else -9)
        eventually(lambda: gone(pid), "the agent is gone")


def test_why_an_agent_does_not_come_up_is_told_and_the_server_serves_on(serve, agent, tmp_path):
    flags = ["--tunnel", "ngrok", "--tunnel-command", agent]
    server = serve("serve", tmp_path / "data", *flags, env={"FAKE_AGENT": "refuses"})
    eventually(lambda: "started again in 2 s" in server.said(), "the agent was tried twice")
    assert "ERR_NGROK_4018" in server.said()
    assert server.get("/livez").status_code == 200


def test_cloudflared_gives_a_public_url(serve, agent, tmp_path):
    server = serve("serve", tmp_path / "data", "--tunnel", "cloudflared", "--tunnel-command", agent)
    (url,) = eventually(lambda: public_urls(server), "the public URL is printed")
    assert re.fullmatch(r"https://port-\d+\.trycloudflare\.com", url)


@pytest.mark.parametrize(("kind", "where"), [("ngrok", "https://ngrok.com/download"), ("cloudflared", "developers.cloudflare.com")])
def test_without_the_agent_it_says_where_to_get_it(tmp_path, kind, where):
    result = run("serve", "--data-dir", tmp_path / "data", "--listen", "127.0.0.1:0", "--tunnel", kind, env={"PATH": str(tmp_path)})
    assert result.returncode == 1
    assert f"{kind} is not in PATH" in result.stderr
    assert where in result.stderr


def test_a_person_at_a_terminal_gets_a_cell_that_is_complete(agent, tmp_path):
    leader, follower = pty.openpty()
    flags = ["--data-dir", tmp_path / "data", "--listen", "127.0.0.1:0", "--tunnel", "ngrok", "--tunnel-command", agent]
    server = subprocess.Popen([BINARY, "serve", *flags], stdout=follower, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    os.close(follower)
    try:
        text = b""
        while b".run(" not in text:
            text += os.read(leader, 4096)
        token = (tmp_path / "data/tunnel-token").read_text().strip()
        assert f'TOKEN = "{token}"' in text.decode()
        # No index has the package.
        assert re.search(r"^ *%pip install [^\n]*\./ca4_producer-\*\.whl .*^ *import ca4\r?$", text.decode(), re.MULTILINE | re.DOTALL)
    finally:
        server.terminate()
        server.wait(PATIENCE_S)
        os.close(leader)
