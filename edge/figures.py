"""The running figures of one stream, from which heartbeats and metrics are made."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.events import Event, Segment, SourceGap, SourceOverflow, family

BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # s
FLOOR = 1e-12  # of the mean square: -120 dBFS
LAGS = 1_000  # the latest, of which percentiles are taken


@dataclass
class Histogram:
    """How many values fell at or below each of `BOUNDS` and above the one before; then the rest."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(BOUNDS, value)] += 1
        self.total += value


@dataclass
class Figures:
    """Written by the daemon's thread alone; any thread may read single values.

    `samples` is the position, `lag` that of the latest block in seconds, `refused` counts messages
    of no known satellite, `lost` samples by kind (overflow, gap), `events` those of each family,
    `segments` those that are final, and `hops` the seconds that blocks took.
    """

    hears: bool = False
    samples: int = 0
    lag: float = 0.0
    drift: float | None = None
    refused: int = 0
    shedding: int = 0
    speakers: int = 0
    queued: int = 0
    level: float | None = None
    segments: int = 0
    lost: dict[str, int] = field(default_factory=lambda: {"overflow": 0, "gap": 0})
    events: Counter[str] = field(default_factory=Counter)
    hops: Histogram = field(default_factory=Histogram)

    def count(self, event: Event) -> None:
        """Take in an event that is published."""
        self.events[family(event)] += 1
        match event:
            case Segment(state="final"):
                self.segments += 1
            case SourceOverflow() | SourceGap():
                kind = "gap" if isinstance(event, SourceGap) else "overflow"
                self.lost[kind] += event.end - event.start


class Interval:
    """What is told of the time from one heartbeat to the next."""

    def __init__(self) -> None:
        self.worst = 0.0  # lag, s
        self._lags: deque[float] = deque(maxlen=LAGS)
        self._squares = 0.0
        self._samples = 0

    def hear(self, samples: NDArray[np.float32], lag: float) -> None:
        """A block (n,), full scale ±1, whose events came `lag` seconds after it."""
        self.worst = max(self.worst, lag)
        self._lags.append(lag)
        self._squares += float(np.sum(np.square(samples, dtype=np.float64)))
        self._samples += len(samples)

    @property
    def level(self) -> float | None:
        """Root mean square in dB below full scale; None where nothing was heard."""
        if not self._samples:
            return None
        return 10.0 * math.log10(max(self._squares / self._samples, FLOOR))

    def percentile(self, share: float) -> float:
        """The lag that this share of the latest blocks does not exceed."""
        ordered = sorted(self._lags)
        return ordered[math.ceil(share * len(ordered)) - 1] if ordered else 0.0
