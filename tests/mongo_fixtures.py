"""The MongoDB-compatible servers that tests share, and a database of its own for each."""

import pytest
from mongo_server import Database, JavaServer, NxServer, Tls


@pytest.fixture(scope="session")
def nx(tmp_path_factory):
    server = NxServer(tmp_path_factory.mktemp("nx")).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def java(tmp_path_factory):
    server = JavaServer(tmp_path_factory.mktemp("java")).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def tls(tmp_path_factory):
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def java_tls(tmp_path_factory, tls):
    server = JavaServer(tmp_path_factory.mktemp("java-tls"), tls).start()
    yield server
    server.kill()


@pytest.fixture(params=["nx", "java"])
def database(request):
    """On each of the two servers, which must not be stopped: other tests use them."""
    made = Database(request.getfixturevalue(request.param))
    yield made
    made.client.close()


@pytest.fixture
def nx_database(nx):
    made = Database(nx)
    yield made
    made.client.close()


@pytest.fixture
def own_nx(tmp_path):
    """A durable server of the test's own, to be killed and started again, and its database."""
    server = NxServer(tmp_path).start()
    made = Database(server)
    yield made
    made.client.close()
    if server.runs():
        server.resume()
    server.kill()
