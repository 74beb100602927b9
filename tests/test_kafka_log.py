"""The Kafka event log against a real broker: the conformance suite of all event logs, and what only a broker shows."""

import subprocess

from support import BINARY

PROGRAM = BINARY.parent / "src/log/kafka_broker_test"


def test_the_kafka_log_does_what_every_event_log_does(kafka):
    assert PROGRAM.is_file(), f"{PROGRAM} is not there: build all targets"
    # What needs a log-in is in test_kafka_security.py.
    ran = subprocess.run(
        [PROGRAM, "--gtest_filter=-KafkaOauth.*"],
        env={"CA4_TEST_KAFKA": kafka},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-20_000:]


def test_without_a_broker_it_fails_and_does_not_skip():
    ran = subprocess.run([PROGRAM, "--gtest_filter=*EmptyBatch*"], env={}, capture_output=True, text=True, timeout=60)
    assert ran.returncode != 0
    assert "CA4_TEST_KAFKA" in ran.stderr
