"""The VPC of `make vpc-sim`, up once for all tests that look at it or play an incident on it."""

import pytest
from vpc import Vpc


@pytest.fixture(scope="session")
def vpc(tmp_path_factory):
    made = Vpc(tmp_path_factory.mktemp("vpc-sim") / "vpc")
    try:
        yield made.start()
    finally:
        made.stop()
