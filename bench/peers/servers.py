"""The peers and floors of `ca4 serve` as processes, each on a free port, and their versions."""

import re
import subprocess

from frame.process import Server
from frame.results import BUILD, ROOT
from kafka_server import VERSION
from server_process import free_port

DEPS = ROOT / ".deps/bench"
PEERS = ROOT / "bench/peers"
# As a container of one core of memory would have it; Camel's answers do not get faster with more.
JVM = ["-Xmx512m", "-XX:+UseSerialGC"]


def fastapi(broker, topic, folder):
    port = free_port()
    argv = [DEPS / "venv/bin/python", "-m", "uvicorn", "fastapi_processor:app", "--app-dir", PEERS, "--port", port, "--no-access-log",
            "--log-level", "warning"]
    return Server(argv, port, env={"KAFKA_BOOTSTRAP": broker.address(), "KAFKA_TOPIC": topic})


def benthos(broker, topic, folder):
    port = free_port()
    return Server([DEPS / "benthos/benthos", "-c", PEERS / "benthos/config.yaml"], port,
                  env={"PORT": str(port), "KAFKA_BOOTSTRAP": broker.address(), "KAFKA_TOPIC": topic})


def camel(broker, topic, folder):
    port = free_port()
    path = f"{DEPS}/camel/classes:{DEPS}/camel/lib/*"
    return Server(["java", *JVM, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", path, "bench.Bridge"], port,
                  env={"PORT": str(port), "KAFKA_BOOTSTRAP": broker.address(), "KAFKA_TOPIC": topic})


def nginx(broker, topic, folder):
    port, root = free_port(), DEPS / "nginx"
    config = folder / "nginx.conf"
    text = (PEERS / "nginx.conf").read_text()
    for name, value in {"ROOT": root, "FOLDER": folder, "PORT": port}.items():
        text = text.replace(f"%{name}%", str(value))
    config.write_text(text)
    libraries = f"{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu"
    return Server([root / "usr/sbin/nginx", "-p", folder, "-c", config], port, env={"LD_LIBRARY_PATH": libraries})


def http_floor(broker, topic, folder):
    return Server([BUILD / "bench/floor", "http"])


def ca4(*flags):
    """`ca4 serve` with its embedded log, as it is started without settings."""
    return lambda broker, topic, folder: Server(
        [BUILD / "ca4", "serve", "--listen", "127.0.0.1:0", "--data-dir", folder / "data", "--log-level", "error", *flags])


def ca4_kafka(*flags):
    """`ca4 serve` in front of Kafka, with its outbox, as it is started with KAFKA_BOOTSTRAP set."""
    return lambda broker, topic, folder: ca4("--kafka-bootstrap", broker.address(), "--topic", topic, *flags)(broker, topic, folder)


def said(*argv):
    run = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=True)
    return run.stdout + run.stderr


def versions():
    listed = said(DEPS / "venv/bin/python", "-m", "pip", "freeze", "--disable-pip-version-check")
    module = (PEERS / "benthos/go.mod").read_text()
    jars = " ".join(path.name for path in (DEPS / "camel/lib").iterdir())
    return {
        "ca4": said(BUILD / "ca4", "--version").split()[-1],
        "Kafka broker": VERSION,
        **{name: re.search(rf"^{name}==(.*)", listed, re.MULTILINE)[1] for name in ("fastapi", "uvicorn", "pydantic", "kafka-python", "uvloop")},
        "Python": said(DEPS / "venv/bin/python", "--version").split()[1],
        "Benthos": re.search(r"benthos/v4 v(\S+)", module)[1], "franz-go": re.search(r"franz-go v(\S+)", module)[1],
        "Camel": re.search(r"camel-main-([\d.]+)\.jar", jars)[1], "kafka-clients (in Camel)": re.search(r"kafka-clients-([\d.]+)\.jar", jars)[1],
        "nginx": (DEPS / "nginx/.version").read_text().strip(),
    }
