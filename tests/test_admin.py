"""The admin port of `serve`, `work`, `up` and `produce`: found by its file, asked, guarded, and away with its process."""

import contextlib
import re
import signal

import pytest
import requests
from kafka_records import fresh_topic
from kafka_server import KafkaCluster
from server_process import free_port
from support import MODEL, PATIENCE_S, PHOTOS, assert_problem, event, eventually, metric, nvidia_driver, run
from test_mongo_faults import IMPATIENT

OPEN = ["/metrics", "/livez", "/readyz", "/health"]


class Admin:
    """An admin port, by the file in which its address is."""

    def __init__(self, data_dir, name):
        self.file = data_dir / "admin" / name
        self.url = eventually(lambda: self.file.exists() and self.file.read_text(), f"{self.file} is there").strip()

    def get(self, path, **keywords):
        return requests.get(self.url + path, timeout=PATIENCE_S, **keywords)

    def put(self, path, body, **keywords):
        return requests.put(self.url + path, data=body, timeout=PATIENCE_S, **keywords)

    def metric(self, name, **labels):
        return metric(self.get("/metrics").text, name, **labels)

    def ready(self):
        return self.get("/readyz").status_code == 200


def test_serve_and_work_on_one_folder_have_ports_of_their_own(serve, work, tmp_path):
    data = tmp_path / "data"
    server, worker = serve("serve", data), work(data)
    ports = {name: Admin(data, name) for name in ("serve", "work")}
    assert ports["serve"].url != ports["work"].url
    server.accept(event("a"))
    server.when_stored(["a"])
    for name, port in ports.items():
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", port.url)
        for path in OPEN:
            answer = port.get(path)
            assert answer.status_code == 200, (name, path, answer.text)
        assert port.get("/health").json()["command"] == name
        assert port.metric("ca4_build_info", command=name) == 1
    assert ports["serve"].metric("ca4_events_total", result="accepted") == 1
    eventually(lambda: ports["work"].metric("ca4_end_to_end_seconds_count") == 1, "what is stored is counted")
    assert ports["work"].metric("ca4_documents_total", result="inserted") == 1
    worker.stop()
    assert not ports["work"].file.exists()
    server.stop()
    assert not (data / "admin").exists()


def test_up_has_one_too_and_a_killed_process_leaves_no_trap(up, tmp_path):
    server = up()
    port = Admin(server.data_dir, "up")
    assert port.ready()
    server.signal(signal.SIGKILL)
    server.wait()
    assert port.file.exists()
    up()
    eventually(lambda: port.file.read_text().strip() != port.url, "the file has the new address")
    assert Admin(server.data_dir, "up").ready()


def test_none_is_no_port(up):
    server = up("--admin-listen", "none")
    assert not (server.data_dir / "admin").exists()
    assert "admin port" not in server.said()


def test_a_second_process_on_the_same_address_is_told(up, tmp_path, ca4):
    up("--admin-listen", f"127.0.0.1:{free_port()}")
    taken = Admin(tmp_path / "data", "up").url.removeprefix("http://")
    result = ca4("up", "--data-dir", tmp_path / "other", "--listen", "127.0.0.1:0", "--admin-listen", taken)
    assert result.returncode == 1
    assert f"admin port: can't listen on {taken}" in result.stderr
    wrong = ca4("up", "--data-dir", tmp_path / "other", "--admin-listen", "everywhere")
    assert wrong.returncode == 2
    assert "--admin-listen" in wrong.stderr


def test_the_log_level_changes_while_it_runs(up):
    server = up("--log-format", "json")
    port = Admin(server.data_dir, "up")
    assert port.get("/log-level").json() == {"level": "info"}
    assert port.put("/log-level", '{"level":"error"}').json() == {"level": "error"}
    assert "audit: log level error instead of info, as 127.0.0.1:" in server.said()
    before = server.said()
    assert port.put("/log-level", "warn").status_code == 200
    assert_problem(port.put("/log-level", "loud"), 400)
    refused = assert_problem(port.put("/log-level", "debug", headers={"Origin": "https://evil.example"}), 403)
    assert "--admin-token-file" in refused["detail"]
    assert port.get("/log-level").json() == {"level": "warn"}
    server.stop()
    assert "up stopped" not in server.said().removeprefix(before)


def test_with_tokens_only_figures_are_open(up, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("the-token-of-an-operator\n")
    server = up("--admin-listen", "0.0.0.0:0", "--admin-token-file", tokens)
    port = Admin(server.data_dir, "up")
    port.url = port.url.replace("0.0.0.0", "127.0.0.1")
    for path in OPEN:
        assert port.get(path).status_code == 200, path
    assert_problem(port.put("/log-level", "debug"), 401)
    assert_problem(port.put("/log-level", "debug", headers={"Authorization": "Bearer the-token-of-a-stranger"}), 401)
    assert port.put("/log-level", "debug", headers={"Authorization": "Bearer the-token-of-an-operator"}).status_code == 200
    # Another token, without a restart.
    tokens.write_text("the-token-of-another-operator\n")
    server.signal(signal.SIGHUP)
    other = {"Authorization": "Bearer the-token-of-another-operator"}
    eventually(lambda: port.get("/log-level", headers=other).status_code == 200, "the new token is known")


def test_without_tokens_a_port_for_all_shows_figures_only(up):
    server = up("--admin-listen", "0.0.0.0:0")
    port = Admin(server.data_dir, "up")
    port.url = port.url.replace("0.0.0.0", "127.0.0.1")
    for path in OPEN:
        assert port.get(path).status_code == 200, path
    assert "admin.token_file" in assert_problem(port.put("/log-level", "debug"), 403)["detail"]


def test_a_worker_is_not_ready_while_its_database_is_away(serve, work, own_nx, tmp_path):
    data = tmp_path / "data"
    serve("serve", data)
    work(data, env=own_nx.env | IMPATIENT)
    port = Admin(data, "work")
    eventually(port.ready, "ready")
    own_nx.server.kill()
    eventually(lambda: not port.ready(), "an idle worker sees it too")
    assert "document store" in assert_problem(port.get("/readyz"), 503)["detail"]
    assert port.get("/livez").status_code == 200
    assert port.get("/metrics").status_code == 200
    own_nx.server.start()
    eventually(port.ready, "ready again")


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """All there is of a cluster, to be killed."""
    cluster = KafkaCluster(tmp_path_factory.mktemp("kafka-admin"))
    try:
        yield cluster.start().nodes[0]
    finally:
        cluster.stop()


def test_nobody_is_ready_while_kafka_is_away(broker, serve, work, tmp_path):
    data, topic = tmp_path / "data", fresh_topic(broker.address())
    flags = ["--kafka-bootstrap", broker.address(), "--topic", topic, "--no-kafka-outbox"]
    serve("serve", data, *flags)
    work(data, *flags)
    ports = [Admin(data, "serve"), Admin(data, "work")]
    for port in ports:
        eventually(port.ready, f"{port.file.name} is ready")
    broker.server.kill()
    for port in ports:
        eventually(lambda: not port.ready(), f"{port.file.name} is not ready")
        assert port.get("/livez").status_code == 200
    assert "event log" in assert_problem(ports[1].get("/readyz"), 503)["detail"]
    broker.server.start()
    for port in ports:
        eventually(port.ready, f"{port.file.name} is ready again")


def test_produce_shows_its_run_and_its_gpus(start, up, tmp_path):
    endpoint = f"127.0.0.1:{free_port()}"
    run_dir = tmp_path / "run"
    (run_dir / "ca4-data").mkdir(parents=True)
    command = ["produce", PHOTOS, "--endpoint", f"http://{endpoint}", "--model", MODEL, "--device", "cpu"]
    producer = start(*command, "--journal", run_dir / "journal", cwd=run_dir, env=nvidia_driver(tmp_path / "driver"))
    port = Admin(run_dir / "ca4-data", "produce")
    pictures = len(list(PHOTOS.iterdir()))
    # Nobody listens at the endpoint yet: everything is on its way, and the port says why.
    eventually(lambda: port.metric("ca4_producer_requests_total", code="none"), "a request without an answer")
    assert port.metric("ca4_producer_given_images") == pictures
    eventually(lambda: port.metric("ca4_producer_pending_images", stage="send"), "images wait to be sent")
    assert "connect" in assert_problem(port.get("/readyz"), 503)["detail"].lower()
    for gpu, uuid in (("0", "GPU-00000000-0000-0000-0000-000000000001"), ("1", "GPU-00000000-0000-0000-0000-000000000002")):
        labels = {"gpu": gpu, "uuid": uuid}
        assert 0.9 < port.metric("ca4_gpu_utilization_ratio", **labels) <= 1
        assert port.metric("ca4_gpu_temperature_celsius", **labels) == 61
        assert port.metric("ca4_gpu_power_watts", **labels) == 412.5
        assert port.metric("ca4_gpu_sm_clock_hertz", **labels) == 1.98e9
        assert port.metric("ca4_gpu_memory_used_bytes", **labels) == pytest.approx(5e8)
    assert port.metric("ca4_producer_images_total", result="sent") == 0
    up(listen=endpoint)
    assert producer.wait() == 0, producer.said()
    assert f"{pictures} sent" in producer.printed()
    assert not list((run_dir / "ca4-data").iterdir()), "nothing is left in the pipeline's folder"


def test_produce_makes_no_folder_where_no_pipeline_has_its_data(start, tmp_path):
    command = ["produce", PHOTOS, "--endpoint", f"http://127.0.0.1:{free_port()}", "--model", MODEL, "--device", "cpu"]
    port = free_port()
    producer = start(*command, "--admin-listen", f"127.0.0.1:{port}", cwd=tmp_path)

    def answers():
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{port}/livez", timeout=5).status_code == 200

    eventually(answers, "its admin port answers")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    producer.signal(signal.SIGINT)
    producer.wait()


def test_every_command_that_runs_for_long_has_the_flags():
    for command in ("serve", "work", "up", "produce"):
        text = run(command, "--help").stdout
        assert "--admin-listen" in text and "--admin-token-file" in text, command
