"""What every part of the lab needs: where the project and its binary are, and how long anything may take."""

import os
import resource
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = Path(os.environ.get("CA4_BINARY", ROOT / "build/release/ca4")).absolute()

# How long anything that must happen may take: far above what it needs, so that a busy machine
# fails no test; only a test that fails anyway waits for it.
PATIENCE_S = 60

# What a crowd of attackers needs in one process, with room; more is of no use to anybody here.
DESCRIPTORS = 65_536

# Everything a caller's environment could change.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("CA4_", "KAFKA_", "MONGO_", "AWS_"))}
# Nobody's own keys, and no question to an address outside of this machine.
ENVIRONMENT |= {
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def eventually(condition, what, patience_s=PATIENCE_S):
    """Asks until the answer is true, and returns it. `what` may be a function that tells more when it fails."""
    deadline = time.monotonic() + patience_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(f"still not after {patience_s} s: {what() if callable(what) else what}")
        time.sleep(0.05)


def allow_descriptors():
    """As many as this process may have, up to DESCRIPTORS, and all that it starts: many systems begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def percentile(ordered, share):
    """Of a sorted list that is not empty: the smallest value that at least `share` of it are not above."""
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
