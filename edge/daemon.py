"""The daemon: a source into the pure pipeline, its events to a publisher. All effects live here.

One thread reads the source, so that heartbeats go on while it is silent; it hands blocks over by
a short queue. When the pipeline falls behind, the reader waits: files and pipes wait with it, and
a microphone's native ring counts what it must drop.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from edge.events import Event, Health, SourceLost, SourceOpened, SourceOverflow
from edge.front_end import SAMPLE_RATE
from edge.publisher import Publisher
from edge.resample import Resampler
from edge.sources import Block, Source

QUEUE_BLOCKS = 8
TICK = 0.1  # seconds within which a stop is noticed
READER_PATIENCE = 2.0  # seconds for the reader to end; one that a broken driver holds is left

Samples = NDArray[np.float32]


class Stop:
    """Whether the daemon was asked to end.

    A plain attribute, because signal handlers set it: a `threading.Event` holds a lock that the
    interrupted code may hold already.
    """

    asked = False

    def ask(self) -> None:
        """Ask for the end."""
        self.asked = True


class Pipeline(Protocol):
    """What the daemon needs of `edge.pipeline.Pipeline`; samples are mono float32 at 16 kHz."""

    @property
    def position(self) -> int:
        """Samples pushed and skipped since the stream began."""
        ...

    @property
    def speakers(self) -> int:
        """Voices known at present."""
        ...

    def push(self, samples: Samples) -> list[Event]:
        """Events that samples (n,) bring about."""
        ...

    def skip(self, count: int) -> list[Event]:
        """Events that `count` lost samples bring about."""
        ...

    def flush(self) -> list[Event]:
        """Events that were waiting for more audio."""
        ...


class Feed:
    """Brings blocks at the source's rate into a pipeline; pure, like the pipeline.

    Positions follow the source's own count of samples, lost ones included, so that rounding to
    16 kHz never adds up.
    """

    def __init__(self, pipeline: Pipeline, rate: int) -> None:
        self._pipeline = pipeline
        self._rate = rate
        self._resampler = Resampler(rate)
        self._heard = 0  # samples at the source's rate, lost ones included

    def push(self, block: Block) -> list[Event]:
        """Events of a block, whose `lost` samples come before its own."""
        events = self._skip(block.lost) if block.lost else []
        self._heard += len(block.samples)
        return events + self._pipeline.push(self._resampler.push(block.samples))

    def flush(self) -> list[Event]:
        """Events of what is still inside the resampler and the pipeline."""
        return self._pipeline.push(self._resampler.flush()) + self._pipeline.flush()

    def _skip(self, lost: int) -> list[Event]:
        events = self._pipeline.push(self._resampler.flush())
        self._heard += lost
        end = (self._heard * SAMPLE_RATE + self._rate // 2) // self._rate
        count = end - self._pipeline.position
        return events + self._pipeline.skip(count) if count > 0 else events


def serve(
    open_source: Callable[[], Source],
    pipeline: Pipeline,
    publisher: Publisher,
    stream: str,
    stop: Stop,
    *,
    health_seconds: float = 5.0,
    between: Callable[[], None] = lambda: None,
) -> None:
    """Hear a source to its end, or until `stop` is asked, and publish what the pipeline says.

    The last event is a `Health` with `final` set, however the stream ends.

    Args:
        open_source: opens the source; called once.
        pipeline: a fresh one; it is flushed at the end.
        publisher: stays open.
        stream: the name that the events bear.
        stop: asked by a signal handler.
        health_seconds: from one heartbeat to the next.
        between: called between two blocks, and a few times a second where there are none.

    Raises:
        EarmarkError: the source cannot be opened, or failed.
    """
    station = _Station(pipeline, publisher, stream)
    next_beat = time.monotonic() + health_seconds
    try:
        with open_source() as source:
            station.say([SourceOpened(source.name, source.rate, source.channels)])
            feed = Feed(pipeline, source.rate)
            with _Reader(source, stop) as reader:
                for item in reader:
                    between()
                    if item is not None:
                        station.say(feed.push(item.block))
                        station.note_lag(time.monotonic() - item.read_at)
                    if time.monotonic() >= next_beat:
                        station.beat()
                        next_beat = time.monotonic() + health_seconds
        station.say(feed.flush())
        station.say([SourceLost(pipeline.position, reader.reason)])
        if reader.error is not None:
            raise reader.error
    finally:
        station.beat(final=True)


class _Item(NamedTuple):
    block: Block
    read_at: float  # time.monotonic()


class _Reader:
    """The thread that reads a source.

    Iterating yields its blocks in order, and None at least every `TICK` seconds between them, until
    the source has ended; when `stop` is asked, it closes the source and yields what was read.
    """

    def __init__(self, source: Source, stop: Stop) -> None:
        self.error: Exception | None = None
        self._source = source
        self._stop = stop
        self._abandoned = False
        self._items: queue.Queue[_Item | None] = queue.Queue(QUEUE_BLOCKS)  # None: the end
        self._thread = threading.Thread(target=self._read, name="earmark-source", daemon=True)

    @property
    def reason(self) -> str:
        """Why there are no more blocks, for people."""
        if self.error is not None:
            return str(self.error)
        return "the daemon was asked to stop" if self._stop.asked else "the source ended"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._abandoned = True
        self._source.close()
        self._thread.join(READER_PATIENCE)

    def __iter__(self) -> Iterator[_Item | None]:
        while True:
            if self._stop.asked:
                self._source.close()
            try:
                item = self._items.get(timeout=TICK)
            except queue.Empty:
                yield None
                continue
            if item is None:
                return
            yield item

    def _read(self) -> None:
        try:
            for block in self._source.blocks():
                self._hand_over(_Item(block, time.monotonic()))
        except Exception as error:  # raised again by `serve`
            self.error = error
        self._hand_over(None)

    def _hand_over(self, item: _Item | None) -> None:
        while not self._abandoned:
            try:
                return self._items.put(item, timeout=TICK)
            except queue.Full:
                pass


class _Station:
    """Publishes events and keeps the counters of the heartbeat."""

    def __init__(self, pipeline: Pipeline, publisher: Publisher, stream: str) -> None:
        self._pipeline = pipeline
        self._publisher = publisher
        self._stream = stream
        self._lag = 0.0  # the longest wait from read to published since the last heartbeat
        self._overflowed = 0

    def say(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, SourceOverflow):
                self._overflowed += event.end - event.start
            self._publisher.publish(self._stream, event, self._pipeline.position)

    def note_lag(self, seconds: float) -> None:
        self._lag = max(self._lag, seconds)

    def beat(self, final: bool = False) -> None:
        health = Health(
            sample=self._pipeline.position,
            lag=self._lag,
            cpu=time.process_time(),
            rss=_resident_bytes(),
            overflowed=self._overflowed,
            speakers=self._pipeline.speakers,
            final=final,
        )
        self._lag = 0.0
        self.say([health])


def _resident_bytes() -> int:
    """Memory of this process that is in RAM; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
