"""Whether a figure that was sampled over time grows: a straight line through it by least squares, with an interval."""

import math
from dataclasses import dataclass

# Student's t for 95 % with about 30 to 100 points; the points are means over a while, so neighbours hardly depend on each other.
T = 2.0
POINTS_MIN = 10


@dataclass
class Slope:
    mean: float
    per_hour: float
    half_width: float  # of the interval around per_hour, 95 %

    def verdict(self, allowed_per_hour):
        """"flat" when it grows by no more than is allowed, "grows" when by more; else the run was too short to say."""
        if self.per_hour + self.half_width <= allowed_per_hour:
            return "flat"
        return "grows" if self.per_hour - self.half_width > allowed_per_hour else "undecided"


def blocks(samples, count):
    """[(seconds, value)] as the means of `count` stretches of equal length, without empty ones."""
    first, last = samples[0][0], samples[-1][0]
    length = (last - first) / count or 1.0
    found = {}
    for at, value in samples:
        found.setdefault(min(count - 1, int((at - first) / length)), []).append((at, value))
    return [(sum(at for at, _ in some) / len(some), sum(v for _, v in some) / len(some)) for _, some in sorted(found.items())]


def fit(samples):
    """The line through [(seconds, value)], at least POINTS_MIN of them."""
    n = len(samples)
    assert n >= POINTS_MIN, f"{n} points are no line"
    mean_at = sum(at for at, _ in samples) / n
    mean = sum(value for _, value in samples) / n
    spread = sum((at - mean_at) ** 2 for at, _ in samples)
    slope = sum((at - mean_at) * (value - mean) for at, value in samples) / spread
    rest = sum((value - mean - slope * (at - mean_at)) ** 2 for at, value in samples)
    error = math.sqrt(rest / (n - 2) / spread)
    return Slope(mean, slope * 3600, T * error * 3600)
