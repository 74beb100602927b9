"""TLS and log-ins against a real broker, which calls itself by a name that only its certificate and the broker map know."""

import json
import subprocess
import time

import pytest
from certificates import Authority
from kafka_server import SCRAM_VERSION, VERSION, KafkaCluster
from support import BINARY, event, run

NAME = "kafka.ca4.invalid"
PASSWORD = "a secret with blanks"
LISTENERS = {"PLAINTEXT": "PLAINTEXT", "TLS": "SSL", "MUTUAL": "SSL", "LOGIN": "SASL_SSL", "OPEN_LOGIN": "SASL_PLAINTEXT"}
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
MODULES = "org.apache.kafka.common.security"


def broker_settings(authority):
    cert, key = authority.issue(NAME)
    store = authority.folder / "broker.pem"
    store.write_text(key.read_text() + cert.read_text())
    settings = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": store,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": authority.cert_file,
        "listener.name.mutual.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": ",".join([*MECHANISMS, "OAUTHBEARER"]),
    }
    for listener in ("login", "open_login"):
        prefix = f"listener.name.{listener}"
        settings[f"{prefix}.plain.sasl.jaas.config"] = (
            f'{MODULES}.plain.PlainLoginModule required user_ann="{PASSWORD}";'
        )
        for scram in ("scram-sha-256", "scram-sha-512"):
            settings[f"{prefix}.{scram}.sasl.jaas.config"] = f"{MODULES}.scram.ScramLoginModule required;"
        settings[f"{prefix}.oauthbearer.sasl.jaas.config"] = (
            f'{MODULES}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
        )
        settings[f"{prefix}.oauthbearer.sasl.server.callback.handler.class"] = (
            f"{MODULES}.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler"
        )
    return settings


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


def secure_cluster(folder, authority, version):
    return KafkaCluster(
        folder,
        listeners=LISTENERS,
        advertise=lambda node, listener: f"{NAME}:{node.ports[listener]}",
        settings=broker_settings(authority),
        format_args=[
            part
            for mechanism in MECHANISMS[1:]
            for part in ("--add-scram", f'{mechanism}=[name=ann,password="{PASSWORD}"]')
        ],
        version=version,
    )


@pytest.fixture(scope="module")
def broker(authority, tmp_path_factory):
    cluster = secure_cluster(tmp_path_factory.mktemp("kafka-secure"), authority, VERSION)
    try:
        yield cluster.start().nodes[0]
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def scram_broker(authority, tmp_path_factory):
    cluster = secure_cluster(tmp_path_factory.mktemp("kafka-scram"), authority, SCRAM_VERSION)
    try:
        yield cluster.start().nodes[0]
    finally:
        cluster.stop()


@pytest.fixture
def password_file(tmp_path):
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    return file


def through(broker, listener, *flags):
    """The flags that reach this listener under the broker's own name."""
    port = broker.ports[listener]
    protocol = LISTENERS[listener].lower()
    return [
        "--kafka-bootstrap", f"{NAME}:{port}",
        "--kafka-broker-map", f"*=127.0.0.1:{port}",
        "--kafka-security-protocol", protocol,
        *flags,
    ]  # fmt: skip


def as_ann(mechanism, password_file):
    return ["--kafka-sasl-mechanism", mechanism, "--kafka-username", "ann", "--kafka-password-file", password_file]


def goes_through(serve, work, data_dir, flags):
    """A whole round by these flags: topic, event, document."""
    made = run("topics", "ensure", *flags, "--json")
    assert made.returncode == 0, made.stdout + made.stderr
    server = serve("serve", data_dir, *flags)
    work(data_dir, *flags)
    server.accept(event("a"))
    server.when_stored(["a"])


def refusal(*flags):
    ran = run("topics", "list", *flags)
    assert ran.returncode == 1
    assert "refuse this client" in ran.stderr, ran.stderr
    return ran.stderr


def test_tls_with_the_brokers_name_in_its_certificate(serve, work, tmp_path, broker, authority):
    flags = through(broker, "TLS", "--kafka-ca-file", authority.cert_file, "--topic", "tls")
    goes_through(serve, work, tmp_path, flags)


def test_a_broker_of_an_unknown_authority_is_not_trusted(tmp_path, broker):
    stranger = Authority(tmp_path / "stranger")
    assert "certificate verify failed" in refusal(*through(broker, "TLS", "--kafka-ca-file", stranger.cert_file))


def test_a_broker_under_another_name_is_not_trusted(broker, authority):
    port = broker.ports["TLS"]
    flags = ["--kafka-bootstrap", f"other.ca4.invalid:{port}", "--kafka-broker-map", f"*=127.0.0.1:{port}"]
    said = refusal(*flags, "--kafka-security-protocol", "ssl", "--kafka-ca-file", authority.cert_file)
    assert "other.ca4.invalid" in said


def test_a_broker_may_ask_for_the_clients_certificate(broker, authority):
    cert, key = authority.issue("worker.ca4.invalid")
    flags = through(broker, "MUTUAL", "--kafka-ca-file", authority.cert_file)
    with_it = run("topics", "list", *flags, "--kafka-cert-file", cert, "--kafka-key-file", key, "--json")
    assert json.loads(with_it.stdout)["brokers"] == 1, with_it.stderr
    assert run("topics", "list", *flags).returncode == 1


def test_a_listener_that_speaks_another_protocol_is_said_with_the_setting(broker, authority, password_file):
    def said(listener, protocol, *login):
        port = broker.ports[listener]
        began = time.monotonic()
        ran = run(
            *("topics", "list", "--kafka-bootstrap", f"{NAME}:{port}", "--kafka-broker-map", f"*=127.0.0.1:{port}"),
            *("--kafka-security-protocol", protocol, *login),
            *(["--kafka-ca-file", authority.cert_file] if protocol.endswith("ssl") else []),
        )
        assert ran.returncode == 1
        # Two seconds; a broker that may yet be there is waited for ten.
        assert time.monotonic() - began < 10, "it does not wait for what will not come"
        assert f"{NAME}:{port}: it " in ran.stderr, ran.stderr
        return ran.stderr

    assert 'it may speak TLS: kafka.security_protocol = "ssl"' in said("TLS", "plaintext")
    assert 'it may speak TLS: kafka.security_protocol = "ssl"' in said("LOGIN", "plaintext")
    assert 'no TLS there: kafka.security_protocol = "plaintext"' in said("PLAINTEXT", "ssl")
    assert 'it may want a user: kafka.security_protocol = "sasl_plaintext"' in said("OPEN_LOGIN", "plaintext")
    assert "it takes no log-in there" in said("TLS", "sasl_ssl", *as_ann("PLAIN", password_file))


def test_a_file_that_holds_no_certificate_or_key_is_named(authority, tmp_path):
    text = tmp_path / "text.pem"
    text.write_text("neither")
    cert, key = authority.issue("client.ca4.invalid")
    flags = ["--kafka-bootstrap", "127.0.0.1:1", "--kafka-security-protocol", "ssl"]
    for setting, given in {
        "ca_file": ["--kafka-ca-file", text],
        "cert_file": ["--kafka-cert-file", text, "--kafka-key-file", key],
        "key_file": ["--kafka-cert-file", cert, "--kafka-key-file", text],
    }.items():
        ran = run("topics", "list", *flags, *given)
        assert ran.returncode == 78
        assert ran.stderr.startswith(f"kafka.{setting}: {text}: no "), ran.stderr
        assert ran.stderr.count("\n") == 1


def test_without_aws_keys_it_says_where_it_looked_and_blames_no_password(serve, tmp_path):
    flags = ["--kafka-bootstrap", "127.0.0.1:1", "--kafka-security-protocol", "sasl_ssl", "--kafka-sasl-mechanism", "AWS_MSK_IAM"]
    flags += ["--kafka-aws-region", "eu-west-1"]
    ran = run("topics", "list", *flags)
    assert ran.returncode == 1
    assert "nothing to log in with: no AWS credentials. environment: AWS_ACCESS_KEY_ID" in ran.stderr
    for source in ("web identity: ", "profile: ", "container: ", "instance: "):
        assert source in ran.stderr
    assert "password" not in ran.stderr
    server = serve("serve", tmp_path, *flags, "--kafka-delivery-timeout-ms", "1000", "--no-kafka-outbox")
    answer = server.post(event("a"))
    assert answer.status_code == 503
    assert "no AWS credentials" in answer.json()["detail"]
    assert server.said().count("warning kafka: nothing to log in with: ") == 1, server.said()


def test_a_log_in_with_a_plain_password_over_tls(serve, work, tmp_path, broker, authority, password_file):
    flags = through(broker, "LOGIN", "--kafka-ca-file", authority.cert_file, "--topic", "plain")
    goes_through(serve, work, tmp_path, flags + as_ann("PLAIN", password_file))


@pytest.mark.parametrize("mechanism", MECHANISMS[1:])
def test_a_log_in_with_scram_over_tls(serve, work, tmp_path, scram_broker, authority, password_file, mechanism):
    flags = through(scram_broker, "LOGIN", "--kafka-ca-file", authority.cert_file, "--topic", mechanism.lower())
    goes_through(serve, work, tmp_path, flags + as_ann(mechanism, password_file))


def test_a_log_in_without_tls(scram_broker, password_file):
    flags = through(scram_broker, "OPEN_LOGIN", *as_ann("SCRAM-SHA-256", password_file))
    ran = run("topics", "list", *flags, "--json")
    assert json.loads(ran.stdout)["brokers"] == 1, ran.stderr


def test_scram_with_a_broker_that_does_not_take_it_from_this_librdkafka(broker, password_file):
    flags = through(broker, "OPEN_LOGIN", *as_ann("SCRAM-SHA-256", password_file))
    ran = run("topics", "list", *flags, "--json")
    if "refuse this client" in ran.stderr:  # librdkafka before 2.6.1
        assert "Kafka 4" in ran.stderr
    else:
        assert json.loads(ran.stdout)["brokers"] == 1


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_password_is_said_and_not_shown(scram_broker, password_file, mechanism):
    password_file.write_text("no secret at all")
    said = refusal(*through(scram_broker, "OPEN_LOGIN", *as_ann(mechanism, password_file)))
    assert "uthentication failed" in said
    assert "no secret at all" not in said


def test_a_processor_that_is_not_let_in_says_so(serve, tmp_path, broker, password_file):
    password_file.write_text("no secret at all")
    flags = through(broker, "OPEN_LOGIN", *as_ann("PLAIN", password_file), "--kafka-delivery-timeout-ms", "1000", "--no-kafka-outbox")
    answer = serve("serve", tmp_path, *flags).post(event("a"))
    assert answer.status_code == 503
    assert "refuse this client" in answer.json()["detail"]


def test_a_token_that_its_source_makes_logs_in_and_is_made_again(broker):
    # The source is the program's own; the broker of the test takes unsigned tokens, as MSK takes signed ones.
    ran = subprocess.run(
        [BINARY.parent / "src/log/kafka_broker_test", "--gtest_filter=KafkaOauth.*"],
        env={"CA4_TEST_KAFKA": broker.address(), "CA4_TEST_KAFKA_LOGIN": broker.address("OPEN_LOGIN")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-5000:]
