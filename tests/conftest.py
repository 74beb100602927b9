"""Fixtures that run the real binary: build/release/ca4, or the one that CA4_BINARY names."""

import importlib.util

import pytest
from basics import allow_descriptors
from support import BINARY, Program, Server, run

# Where the Python package is installed (scripts/test-wheel.sh) its own tests run, and the clients of the servers are not there.
PACKAGE = importlib.util.find_spec("ca4") is not None
pytest_plugins = [] if PACKAGE else ["kafka_fixtures", "mongo_fixtures", "page_fixtures", "side_by_side", "sim_fixtures"]
collect_ignore = [] if PACKAGE else ["package"]


def pytest_configure(config):
    if not BINARY.is_file():
        raise pytest.UsageError(f"{BINARY} is not there: run `make build`, or set CA4_BINARY")
    allow_descriptors()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """What the programs of a failed test said on standard error belongs to the failure."""
    report = yield
    if report.failed:
        for program in getattr(item, "programs", []):
            report.sections.append((f"standard error of {program.title}", program.said()))
    return report


@pytest.fixture
def ca4():
    """ca4("query", "--count") runs to the end and returns a CompletedProcess with text."""
    return run


@pytest.fixture
def programs(request):
    """What is added here is killed when the test ends, if it still runs."""
    request.node.programs = []
    yield request.node.programs
    for program in request.node.programs:
        program.kill()


@pytest.fixture
def start(programs):
    """start("produce", ...) starts a command and returns a Program."""

    def begin(*args, **keywords):
        programs.append(Program(*args, **keywords))
        return programs[-1]

    return begin


@pytest.fixture
def serve(programs):
    """serve("up", data_dir, *flags) starts `up` or `serve` on a free port and waits until it listens.

    What the test has not stopped itself is asked to end when the test is over, and must do so with exit code 0.
    """
    servers = []

    def begin(command, data_dir, *flags, **keywords):
        server = Server(command, data_dir, *flags, **keywords)
        programs.append(server)
        servers.append(server)
        server.wait_until_listening()
        return server

    yield begin
    for server in servers:
        if server.runs():
            server.stop()


@pytest.fixture
def work(programs):
    """work(data_dir, *flags) starts a worker.

    It is asked to end when the test is over, if it still runs: one that is killed is missed by its Kafka group for a while.
    """
    workers = []

    def begin(data_dir, *flags, **keywords):
        workers.append(Program("work", "--data-dir", data_dir, *flags, **keywords))
        programs.append(workers[-1])
        return workers[-1]

    yield begin
    for worker in workers:
        if worker.runs():
            worker.stop()


@pytest.fixture
def up(serve, tmp_path):
    """up() starts a pipeline on tmp_path/data; up(tmp_path / "other", "--flag") elsewhere or otherwise."""

    def begin(*flags, data_dir=None, **keywords):
        return serve("up", data_dir or tmp_path / "data", *flags, **keywords)

    return begin


@pytest.fixture(scope="session")
def applied(tmp_path_factory):
    """deploy/aws, planned and applied once to an AWS on this machine (moto). A test that changes it puts it back."""
    from aws_account import Account

    account = Account(tmp_path_factory.mktemp("aws"))
    account.planned = account.ok("plan")
    account.said = account.apply()
    yield account
    account.moto.stop()
