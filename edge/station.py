"""One stream of the daemon: from what its reader says to published events and heartbeats."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from edge import log
from edge.clock import now
from edge.events import (
    Event,
    Health,
    SourceGap,
    SourceLost,
    SourceOpened,
    SourceOverflow,
    SourceRestored,
    format_words,
)
from edge.feed import Feed, Pipeline
from edge.figures import Figures, Interval
from edge.front_end import SAMPLE_RATE
from edge.keeper import Keeper
from edge.overload import Ladder
from edge.publisher import Publisher
from edge.reader import Broken, Ended, Heard, Item, Opened


class Station:
    """Takes the items of one reader, in one thread.

    Args:
        name: of the stream, first part of its topics.
        pipeline: a fresh one.
        publisher: shared by all streams.
        keeper: keeps what the pipeline knows.
        figures: brought up to date with every item.
    """

    def __init__(
        self,
        name: str,
        pipeline: Pipeline,
        publisher: Publisher,
        keeper: Keeper | None = None,
        figures: Figures | None = None,
    ) -> None:
        self.name = name
        self.opened = False
        self.ended = False
        self._ending = False  # as it should
        self._pipeline = pipeline
        self._publisher = publisher
        self._keeper = keeper
        self._feed: Feed | None = None  # None while there is no source
        self._ladder = Ladder()
        self._figures = figures or Figures()
        self._interval = Interval()

    @property
    def hears(self) -> bool:
        """Whether there is a source at present."""
        return self._feed is not None

    def take(self, item: Item) -> None:
        """Publish what an item brings about."""
        match item:
            case Opened():
                self._open(item)
            case Heard():
                self._hear(item)
            case Broken():
                self._break(str(item.error))
            case Ended():
                self.end("the source ended" if item.error is None else str(item.error), item.error)

    def end(self, reason: str, error: Exception | None = None) -> None:
        """Publish what was waiting, why there is no more, and the last heartbeat."""
        self._ending = error is None
        if self.opened:
            self._break(reason)
        if self._keeper is not None:
            self._keeper.keep(last=True)
        self.ended = True
        self.beat()

    def keep(self) -> None:
        """Keep what the pipeline knows, while there is more to come."""
        if self._keeper is not None and not self.ended:
            self._keeper.keep(last=False)

    def beat(self, queued: int = 0) -> None:
        """Publish a heartbeat; `queued` blocks wait."""
        figures, interval = self._figures, self._interval
        figures.queued, figures.level = queued, interval.level
        self._interval = Interval()
        health = Health(
            sample=self._pipeline.position,
            lag=interval.worst,
            cpu=time.process_time(),
            rss=_resident_bytes(),
            overflowed=figures.lost["overflow"],
            missing=figures.lost["gap"],
            speakers=self._pipeline.speakers,
            shedding=self._ladder.level,
            drift=figures.drift,
            final=self.ended,
            lag_median=interval.percentile(0.5),
            lag_99=interval.percentile(0.99),
            level=interval.level,
            queued=queued,
        )
        self._say([health])

    def _open(self, item: Opened) -> None:
        self._feed = Feed(self._pipeline, item.rate)
        if self.opened:
            self._say([SourceRestored(self._pipeline.position, *item)])
        else:
            self._say([SourceOpened(*item)])
        self.opened = True

    def _hear(self, item: Heard) -> None:
        assert self._feed is not None, "a reader says Opened first"
        began = time.perf_counter()
        self._say(self._feed.push(item.block))
        lag = now() - (item.read_at if item.block.at is None else item.block.at)
        self._interval.hear(item.block.samples, lag)
        self._figures.hops.add(time.perf_counter() - began)
        self._figures.lag = lag
        self._figures.drift, self._figures.refused = item.drift, item.refused
        if item.block.at is not None:  # other sources wait with us
            self._shed(lag)

    def _shed(self, lag: float) -> None:
        level = self._ladder.note(lag, now())
        if level > self._pipeline.shedding:
            what = f"{lag:.1f} s behind: sheds work, level {level}"
            log.warning("overload", what, stream=self.name, shedding=level, lag=round(lag, 3))
        elif level < self._pipeline.shedding:
            log.info("overload.over", f"keeps up: level {level}", stream=self.name, shedding=level)
        self._pipeline.shedding = level

    def _break(self, reason: str) -> None:
        if self._feed is None:
            return
        self._say(self._feed.flush())
        self._feed = None
        self._say([SourceLost(self._pipeline.position, reason)])

    def _say(self, events: Sequence[Event]) -> None:
        if self._keeper is not None:
            self._keeper.before(events)
        for event in events:
            self._figures.count(event)
            self._log(event)
            self._publisher.publish(self.name, event, self._pipeline.position)
        self._figures.hears = self.hears
        self._figures.samples = self._pipeline.position
        self._figures.speakers = self._pipeline.speakers
        self._figures.shedding = self._ladder.level

    def _log(self, event: Event) -> None:
        """Of the events, what whoever looks after the daemon should know."""
        kind = str(type(event).__struct_config__.tag)
        match event:
            case SourceOpened() | SourceRestored():
                heard = f"{event.name}, {format_words(event.rate, event.channels)}"
                log.info(kind, f"hearing {heard}", stream=self.name, sample=self._pipeline.position)
            case SourceLost():
                say = log.info if self._ending else log.warning
                say(kind, f"no more audio: {event.reason}", stream=self.name, sample=event.sample)
            case SourceGap() | SourceOverflow():
                samples = event.end - event.start
                why = "never captured" if isinstance(event, SourceGap) else "not fetched in time"
                what = f"{samples / SAMPLE_RATE:.2f} s lost, {why}"
                log.warning(kind, what, stream=self.name, sample=event.start, samples=samples)


def _resident_bytes() -> int:
    """Memory of this process that is in RAM; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
