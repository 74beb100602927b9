"""The command `ca4`: `ca4 produce`, as the binary of the same name has it."""

import os
import signal
import sys

from ca4 import _native, _runtime


def main():
    # Before any thread is there: the core waits for these in a thread of its own, and no other may take them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    # The core looks where Python installs things by default; this Python knows better. A flag or a variable wins.
    ort = _runtime.library()
    if ort and not os.environ.get("CA4_PRODUCER_ORT"):
        os.environ["CA4_PRODUCER_ORT"] = ort
    sys.exit(_native.main(["ca4", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
