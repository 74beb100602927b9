"""Bearer tokens and TLS."""

import signal
import ssl
import subprocess
from http.client import HTTPSConnection

import pytest
import requests
from server_process import free_port
from support import ENVIRONMENT, PATIENCE_S, assert_problem, event, eventually, run

FIRST, SECOND, THIRD = "first-token-0123456789", "second-token-0123456789", "third-token-0123456789"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def tokens(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"{FIRST}\n{SECOND}\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for localhost and 127.0.0.1, and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(cert, key)
    return cert, key


def make_certificate(cert, key):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        + ["-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True,
        capture_output=True,
        env=ENVIRONMENT,
    )


def test_without_a_token_an_event_is_401(up, tokens):
    answer = up("--token-file", tokens).post(event())
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "given",
    ["Bearer wrong", "Bearer ", "Bearer", f"Basic {FIRST}", FIRST, f"Bearer {FIRST}x", f"Bearer {FIRST[:-1]}"],
)
def test_a_wrong_token_is_401(up, tokens, given):
    answer = up("--token-file", tokens).post(event(), headers={"Authorization": given})
    assert_problem(answer, 401)
    assert "WWW-Authenticate" in answer.headers


def test_a_batch_needs_a_token_too(up, tokens):
    server = up("--token-file", tokens)
    answer = requests.post(
        server.url + "/metadata/batch",
        data=b"{}\n",
        headers={"Content-Type": "application/x-ndjson"},
        timeout=PATIENCE_S,
    )
    assert_problem(answer, 401)


def test_each_token_of_the_file_is_taken(up, tokens):
    server = up("--token-file", tokens)
    assert server.post(event(), headers=bearer(FIRST)).status_code == 200
    assert server.post(event(), headers=bearer(SECOND)).status_code == 200


def test_the_scheme_is_compared_without_case(up, tokens):
    server = up("--token-file", tokens)
    assert server.post(event(), headers={"Authorization": f"bearer {FIRST}"}).status_code == 200


def test_sighup_reads_the_tokens_again(up, tokens):
    server = up("--token-file", tokens)
    assert server.post(event(), headers=bearer(THIRD)).status_code == 401
    tokens.write_text(f"{SECOND}\n{THIRD}\n")
    server.signal(signal.SIGHUP)
    eventually(
        lambda: server.post(event(), headers=bearer(THIRD)).status_code == 200, "the new token is taken"
    )
    assert server.post(event(), headers=bearer(SECOND)).status_code == 200
    assert server.post(event(), headers=bearer(FIRST)).status_code == 401


def test_a_token_file_that_went_away_leaves_the_old_tokens(up, tokens):
    server = up("--token-file", tokens)
    tokens.unlink()
    server.signal(signal.SIGHUP)
    eventually(lambda: "the old tokens stay" in server.said(), "the failure is told")
    assert server.post(event(), headers=bearer(FIRST)).status_code == 200
    assert server.post(event()).status_code == 401


def test_probes_and_metrics_need_no_token(up, tokens):
    server = up("--token-file", tokens)
    for path in ("/livez", "/readyz", "/health", "/metrics"):
        assert server.get(path).status_code == 200, path


def test_metrics_need_a_token_when_asked_to(up, tokens):
    server = up("--token-file", tokens, "--metrics-auth")
    assert server.get("/metrics").status_code == 401
    assert server.get("/metrics", headers=bearer(FIRST)).status_code == 200
    assert server.get("/livez").status_code == 200


def test_stored_data_needs_a_token(up, tokens):
    server = up("--token-file", tokens)
    assert server.get("/api/stats").status_code == 401
    assert server.get("/api/stats", headers=bearer(FIRST)).status_code == 200


def test_a_missing_token_file_ends_the_program_as_bad_configuration(tmp_path):
    result = run("up", "--data-dir", tmp_path / "d", "--listen", "127.0.0.1:0", "--token-file", tmp_path / "none")
    assert result.returncode == 78, result.stderr
    assert str(tmp_path / "none") in result.stderr


def test_an_empty_token_file_does_not_open_the_door(tmp_path):
    empty = tmp_path / "tokens"
    empty.write_text("\n\n")
    result = run("up", "--data-dir", tmp_path / "d", "--listen", "127.0.0.1:0", "--token-file", empty)
    assert result.returncode == 78, result.stderr


def test_without_tokens_other_names_and_other_sites_are_403(up, tokens):
    server = up()
    rebound = {"Host": "evil.example"}
    for answer in (
        server.post(event("a"), headers=rebound),
        server.get("/api/documents", headers=rebound),
        server.post(event("a"), headers={"Origin": "http://evil.example"}),
    ):
        problem = assert_problem(answer, 403)
        assert "--token-file" in problem["detail"]
        assert "--host-header=rewrite" in problem["detail"]
    for path in ("/livez", "/readyz", "/health", "/metrics", "/"):
        assert server.get(path, headers=rebound).status_code == 200, path
    assert server.post(event("a"), headers={"Origin": server.url}).status_code == 200
    with_tokens = up("--token-file", tokens, data_dir=server.data_dir.with_name("other"))
    headers = rebound | {"Authorization": f"Bearer {FIRST}", "Origin": "https://evil.example"}
    assert with_tokens.post(event("b"), headers=headers).status_code == 200


def test_events_are_taken_over_tls(up, certificate):
    cert, key = certificate
    server = up("--tls-cert-file", cert, "--tls-key-file", key)
    assert server.url.startswith("https://")
    answer = server.post(event("tls", dim=2048), verify=str(cert))
    assert answer.status_code == 200, answer.text
    server.when_stored(["tls"])


def test_many_requests_share_a_tls_connection(up, certificate):
    cert, key = certificate
    server = up("--tls-cert-file", cert, "--tls-key-file", key)
    with requests.Session() as session:
        for i in range(20):
            # For each, as the environment's REQUESTS_CA_BUNDLE would beat what a session has.
            answer = session.post(
                server.url + "/metadata", json=event(f"t{i}"), timeout=PATIENCE_S, verify=str(cert)
            )
            assert answer.status_code == 200
    server.when_stored([f"t{i}" for i in range(20)])


def test_a_tls_connection_too_many_is_closed_and_counted(up, certificate):
    cert, key = certificate
    server = up("--tls-cert-file", cert, "--tls-key-file", key, "--connections-max", "1")
    with requests.Session() as session:

        def get(path):
            return session.get(server.url + path, timeout=PATIENCE_S, verify=str(cert))

        assert get("/livez").status_code == 200
        with pytest.raises(requests.ConnectionError):
            server.get("/livez", verify=str(cert))
        assert 'ca4_http_refused_total{code="503"} 1' in get("/metrics").text


def test_plain_http_on_a_tls_port_is_told_so_and_harms_nobody(up, certificate):
    cert, key = certificate
    server = up("--tls-cert-file", cert, "--tls-key-file", key)
    for method in ("GET", "POST"):
        answer = requests.request(method, server.url.replace("https", "http") + "/livez", timeout=PATIENCE_S)
        assert "use https://" in assert_problem(answer, 400)["detail"]
    assert server.get("/livez", verify=str(cert)).status_code == 200


def serial_of(server):
    """Of the certificate that it shows now."""
    pem = ssl.get_server_certificate(server.address, timeout=PATIENCE_S)
    return subprocess.run(["openssl", "x509", "-serial", "-noout"], input=pem, capture_output=True, text=True, check=True).stdout


def test_sighup_reads_the_certificate_again_and_connections_stay(up, certificate, tmp_path):
    cert, key = certificate
    server = up("--tls-cert-file", cert, "--tls-key-file", key)
    first = serial_of(server)
    # Connects anew when it has to, and then trusts only the first one.
    connection = HTTPSConnection(*server.address, timeout=PATIENCE_S, context=ssl.create_default_context(cafile=cert))

    def still_open():
        connection.request("GET", "/livez")
        return connection.getresponse().read() == b'{"status":"alive"}'

    assert still_open()
    # The renewed certificate is there, its key not yet: nothing changes.
    make_certificate(cert, tmp_path / "renewed-key.pem")
    server.signal(signal.SIGHUP)
    eventually(lambda: "the old certificate stays: " + str(key) in server.said(), "the failure is told")
    assert serial_of(server) == first
    (tmp_path / "renewed-key.pem").rename(key)
    server.signal(signal.SIGHUP)
    eventually(lambda: serial_of(server) != first, "the new certificate is shown")
    assert server.get("/livez", verify=str(cert)).status_code == 200
    assert still_open()
    connection.close()


def test_a_key_with_a_pass_phrase_is_refused_and_nobody_is_asked(certificate, tmp_path):
    cert, key = certificate
    locked = tmp_path / "locked.pem"
    command = ["openssl", "ec", "-in", key, "-aes128", "-passout", "pass:secret", "-out", locked]
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
    ended = run("up", "--data-dir", tmp_path / "data", "--listen", "127.0.0.1:0", "--tls-cert-file", cert, "--tls-key-file", locked)
    assert ended.returncode == 78
    assert ended.stderr.startswith(f"{locked}: no PEM private key without a pass phrase")


@pytest.fixture(scope="module")
def rsa_certificate(tmp_path_factory):
    """The kind of key with which a server could still take the oldest ciphers."""
    folder = tmp_path_factory.mktemp("rsa")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True,
        capture_output=True,
        env=ENVIRONMENT,
    )
    return cert, key


def shakes_hands(port, *flags):
    """Whether a client that would take anything gets a connection with these flags."""
    result = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *flags], input=b"", capture_output=True, timeout=PATIENCE_S
    )
    return result.returncode == 0


ANY = ("-cipher", "ALL:@SECLEVEL=0")
WEAK = ["AES128-SHA", "AES256-GCM-SHA384", "DHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384"]
HANDSHAKES = {
    "TLS 1.0": (("-tls1", *ANY), False),
    "TLS 1.1": (("-tls1_1", *ANY), False),
    "TLS 1.2": (("-tls1_2", *ANY), True),
    "TLS 1.3": (("-tls1_3",), True),
    "ECDHE-RSA-AES128-GCM-SHA256": (("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), True),
    "ECDHE-RSA-CHACHA20-POLY1305": (("-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"), True),
} | {cipher: (("-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0"), False) for cipher in WEAK}


def test_old_versions_and_weak_ciphers_of_tls_are_refused(up, rsa_certificate):
    cert, key = rsa_certificate
    _, port = up("--tls-cert-file", cert, "--tls-key-file", key).address
    taken = {name: shakes_hands(port, *flags) for name, (flags, _) in HANDSHAKES.items()}
    assert taken == {name: accepted for name, (_, accepted) in HANDSHAKES.items()}


def test_the_client_of_that_test_could_connect(rsa_certificate):
    """To a server that takes anything, so that a refusal is the server's."""
    cert, key = rsa_certificate
    port = free_port()
    server = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", cert, "-key", key, "-cipher", "ALL:@SECLEVEL=0", "-quiet"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: shakes_hands(port, "-tls1_2", *ANY), "it listens")
        assert {name: shakes_hands(port, *flags) for name, (flags, _) in HANDSHAKES.items()} == dict.fromkeys(HANDSHAKES, True)
    finally:
        server.kill()
        server.wait()


def test_browsers_are_told_to_stay_with_tls(up, certificate):
    cert, key = certificate
    server = up("--tls-cert-file", cert, "--tls-key-file", key)
    for path in ("/", "/livez", "/nowhere"):
        assert server.get(path, verify=str(cert)).headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize("missing", ["--tls-cert-file", "--tls-key-file"])
def test_half_a_tls_configuration_is_refused(tmp_path, certificate, missing):
    cert, key = certificate
    flags = {"--tls-cert-file": cert, "--tls-key-file": key}
    flags.pop(missing)
    (flag, value), = flags.items()
    result = run("up", "--data-dir", tmp_path / "d", "--listen", "127.0.0.1:0", flag, value)
    assert result.returncode == 78, result.stderr
