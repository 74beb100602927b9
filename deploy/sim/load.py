"""Posts events to a processor until standard input ends, and says of each where it is durable. Runs on the laptop.

    python3 load.py URL PREFIX [TOKEN_FILE]

Printed: `ID kafka` or `ID outbox` for what was taken; `ID 503`, `ID refused` for what was not, which is sent again under its id until it is
taken, as producers do. The events' pipeline is PREFIX without the hyphen at its end. Exit code 1: the last one was not taken for half a minute.
"""

import json
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

# Slow enough for a small machine's database, fast enough that nothing lasts shorter than a few events.
PAUSE_S = 0.05
GIVE_UP_S = 30
# Large enough that a disk that is nearly full is soon full.
DIM = 512

over = threading.Event()


def authorization(token_file):
    """The header with the token, which is the file's first line."""
    return {"Authorization": "Bearer " + Path(token_file).read_text().split("\n")[0].strip()}


def post(url, headers, pipeline, metadata_id):
    """Where the event is durable, or why it is nowhere."""
    body = json.dumps({"metadata_id": metadata_id, "embedding": [0.5] * DIM, "extra": {"pipeline": pipeline}}).encode()
    request = urllib.request.Request(url + "/metadata", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["durable_in"]
    except urllib.error.HTTPError as problem:
        return str(problem.code)
    except OSError:
        return "refused"


def main():
    url, prefix, *token_file = sys.argv[1:]
    headers = {"Content-Type": "application/json"} | (authorization(token_file[0]) if token_file else {})
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    number, pending, give_up = 0, False, None
    # What was refused must still get in.
    while pending or not over.is_set():
        metadata_id = f"{prefix}{number}"
        place = post(url, headers, prefix.rstrip("-"), metadata_id)
        print(metadata_id, place, flush=True)
        pending = place not in ("kafka", "outbox")
        if over.is_set():
            give_up = give_up or time.monotonic() + GIVE_UP_S
            if pending and time.monotonic() > give_up:
                return 1
        number += not pending
        time.sleep(PAUSE_S if not pending else 10 * PAUSE_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
