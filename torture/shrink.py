"""Delta debugging: the smallest list of faults that still fails."""

import time


def shrink(faults, fails, patience_s, now=time.monotonic):
    """`fails(faults)` runs again with these alone. Returns the smallest list that was seen to fail, when nothing can be left out or time is up."""
    deadline, parts = now() + patience_s, 2
    faults = list(faults)
    while len(faults) > 1 and now() < deadline:
        size = -(-len(faults) // parts)
        pieces = [faults[at : at + size] for at in range(0, len(faults), size)]
        # Each piece alone, then all but each piece.
        candidates = pieces + [[f for piece in pieces if piece is not out for f in piece] for out in pieces if len(pieces) > 2]
        for candidate in candidates:
            if now() >= deadline:
                return faults
            if fails(candidate):
                faults, parts = candidate, max(2, parts - 1 if candidate not in pieces else 2)
                break
        else:
            if size == 1:
                return faults
            parts = min(len(faults), parts * 2)
    return faults
