"""How the tests are spread over processes that run side by side: `pytest -n 4 --dist loadfile` (scripts/test.sh).

A file's tests stay in one process, so that what they share is started once and what they leave in build/ is theirs. Without -n nothing
here matters but the mark.
"""

# These files begin first, in this order: one that takes minutes and began last would be waited for. `--durations` tells.
LONG = [
    *("deploy_aws", "incident_drill", "kafka_security", "deploy_growth", "tunnel", "outbox", "deploy_local", "kafka_faults", "torture"),
    *("dashboards", "vpc_sim", "deploy_k3s", "alerts_fire", "mongo_faults", "page", "page_outage", "mongo", "deploy_package", "produce"),
]


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: holds the system to a time; run by itself, on a machine that does nothing else")


def pytest_collection_modifyitems(items):
    rank = {f"test_{name}": number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
