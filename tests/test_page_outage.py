"""What a person at the page sees of an outage of Kafka and of the database, real ones, while it lasts and when it is over."""

import pytest
from kafka_records import fresh_topic, warm_up, when_direct
from kafka_server import KafkaCluster
from page_fixtures import Page
from support import event, eventually


@pytest.fixture
def broker(tmp_path):
    """A broker of the test's own, to be killed."""
    cluster = KafkaCluster(tmp_path / "kafka")
    try:
        warm_up(cluster.start().bootstrap())
        yield cluster.nodes[0]
    finally:
        cluster.stop()


@pytest.fixture
def pipeline(broker, serve, work, own_nx, tmp_path):
    """A processor and a worker on Kafka and a database."""
    bootstrap = broker.cluster.bootstrap()
    flags = ["--kafka-bootstrap", bootstrap, "--topic", fresh_topic(bootstrap), "--no-archive"]
    server = when_direct(serve("serve", tmp_path / "serve", *flags, env=own_nx.env))
    work(tmp_path / "work", *flags, env=own_nx.env)
    return server


def row(page, name):
    return next((text for text in page.texts("#queues tbody tr") if text.startswith(name)), "")


def latest(page):
    return page.texts("#latest tbody a.id")


def test_kafka_goes_away_and_comes_back(chromium, pipeline, broker):
    page = Page(chromium, pipeline.url).open()
    assert pipeline.accept(event("before"))["durable_in"] == "kafka"
    eventually(lambda: latest(page) == ["before"], "the first document")
    eventually(lambda: "events go to Kafka directly" in row(page, "Outbox"), "and how it got there")

    broker.server.kill()
    ids = [f"meanwhile-{i}" for i in range(3)]
    assert [pipeline.accept(event(i))["durable_in"] for i in ids] == ["outbox"] * 3
    eventually(lambda: page.text("status") == "in trouble", "the page says that there is trouble")
    eventually(lambda: "events wait in the outbox" in page.text("trouble"), "and what it is")
    eventually(lambda: row(page, "Outbox").split()[-1:] == ["3"], "three events wait")
    # What cannot be known now is not shown as if it were, nor as if it were nowhere.
    eventually(lambda: page.text("lag-note") == page.text("dead-note") == "unknown while the log is away", "what is not known")
    # Posts succeed, so nothing failed; and what was stored can still be looked at.
    assert "failed" not in page.text("rate-note")
    eventually(lambda: latest(page) == ["before"], "what was stored is shown")
    page.picture("outage-kafka.png")

    broker.server.start()
    eventually(lambda: page.text("status") == "live", "the trouble is over")
    eventually(lambda: set(latest(page)) == {"before", *ids}, "what waited is stored")
    eventually(lambda: row(page, "Outbox").split()[-1:] == ["0"], "nothing waits")
    eventually(lambda: page.text("lag") == "0", "nothing is behind")
    assert not page.browser.find_element("id", "trouble").is_displayed()
    page.picture("outage-over.png")
    assert page.errors() == []


def test_the_database_goes_away_and_comes_back(chromium, pipeline, own_nx):
    page = Page(chromium, pipeline.url).open()
    pipeline.accept(event("before"))
    eventually(lambda: latest(page) == ["before"], "the first document")

    own_nx.server.kill()
    for i in range(3):
        assert pipeline.accept(event(f"meanwhile-{i}"))["durable_in"] == "kafka"
    eventually(lambda: "The document store" in page.text("trouble"), "the page says what is away")
    assert page.text("status") == "in trouble"
    eventually(lambda: page.text("lag") == "3", "three events are behind")
    assert (page.text("documents"), page.text("documents-note")) == ("–", "unknown while the store is away")
    eventually(lambda: page.texts("#gpus tbody tr") == ["unknown while the store is away"], "nor are the GPUs known")
    page.picture("outage-database.png")

    own_nx.server.start()
    eventually(lambda: page.text("status") == "live", "the trouble is over")
    eventually(lambda: len(latest(page)) == 4, "what waited is stored")
    eventually(lambda: page.text("lag") == "0" and page.text("documents") == "4", "nothing is behind")
