"""From a source's blocks to the pipeline's samples: resampled, with exact positions."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.events import Event, SourceGap, SourceOverflow
from edge.front_end import SAMPLE_RATE
from edge.resample import Resampler
from edge.sources import Block

Samples = NDArray[np.float32]


class Sink(Protocol):
    """What can be fed; samples are mono float32 at 16 kHz."""

    @property
    def position(self) -> int:
        """Samples pushed and skipped since the stream began."""
        ...

    def push(self, samples: Samples) -> list[Event]:
        """Events that samples (n,) bring about."""
        ...

    def skip(self, count: int, cause: type[SourceGap | SourceOverflow]) -> list[Event]:
        """Events that `count` lost samples bring about."""
        ...

    def flush(self) -> list[Event]:
        """Events that were waiting for more audio."""
        ...


class Pipeline(Sink, Protocol):
    """What the daemon needs of `edge.pipeline.Pipeline`."""

    shedding: int

    @property
    def speakers(self) -> int:
        """Voices known at present."""
        ...


class Feed:
    """Brings blocks at the source's rate into a pipeline, or another sink; pure, like those.

    Positions follow the source's own count of samples, lost ones included, so that rounding to
    16 kHz never adds up. A source that comes back gets a new feed into the same sink.

    Args:
        sink: goes on from where it is.
        rate: of the blocks, Hz.
    """

    def __init__(self, sink: Sink, rate: int) -> None:
        self._sink = sink
        self._rate = rate
        self._resampler = Resampler(rate)
        self._begin = sink.position
        self._heard = 0  # samples at the source's rate, lost ones included

    def push(self, block: Block) -> list[Event]:
        """Events of a block, and of what was lost before it."""
        events = self._skip(block.gap, SourceGap) + self._skip(block.lost, SourceOverflow)
        self._heard += len(block.samples)
        return events + self._sink.push(self._resampler.push(block.samples))

    def flush(self) -> list[Event]:
        """Events of what is still inside the resampler and the pipeline."""
        return self._sink.push(self._resampler.flush()) + self._sink.flush()

    def _skip(self, lost: int, cause: type[SourceGap | SourceOverflow]) -> list[Event]:
        if not lost:
            return []
        # What the resampler rounds up at its end would add up, over many losses.
        room = max(0, self._due - self._sink.position)
        events = self._sink.push(self._resampler.flush()[:room])
        self._heard += lost
        count = self._due - self._sink.position
        return events + self._sink.skip(count, cause) if count > 0 else events

    @property
    def _due(self) -> int:
        """The position of all that was heard."""
        return self._begin + (self._heard * SAMPLE_RATE + self._rate // 2) // self._rate
