"""Arguments, before the core gets them."""

import math
import operator

# As the flags of `ca4 produce` have them.
BATCH_MAX = 4096
IN_FLIGHT_MAX = 1024
RETRY_FOR_S_MAX = 7 * 24 * 3600


def whole(name, value, most):
    """A whole number from 1 to `most`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected a whole number, not {value!r}") from None
    if not 1 <= number <= most:
        raise ValueError(f"{name}: {number} is not between 1 and {most}")
    return number


def seconds(name, value, most):
    """From 0 to `most`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected seconds, not {value!r}") from None
    if math.isnan(number) or not 0 <= number <= most:
        raise ValueError(f"{name}: {value} is not between 0 and {most} seconds")
    return number
