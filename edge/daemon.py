"""The daemon: sources into pure pipelines, their events to one publisher.

A thread for each source reads it, so that heartbeats go on while it is silent; one thread runs all
the pipelines. When that falls behind, the readers wait: files and pipes wait with them, and a
microphone's native ring counts what it must drop.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edge.feed import Pipeline
from edge.figures import Figures
from edge.keeper import Keeper
from edge.publisher import Publisher
from edge.reader import TICK, Ended, Item, Reader
from edge.signals import Stop
from edge.sources import Source
from edge.station import Station
from edge.systemd import Notifier

KEEP_SECONDS = 60.0  # from one writing of the voices to the next
PATIENCE = 0.3  # seconds for sources to end once asked; one that a driver holds is left behind
STOPPED = "the daemon was asked to stop"


@dataclass(frozen=True)
class Stream:
    """A source and what hears it.

    `name` is the first part of its topics, `open_source` is called once, in a thread of its own,
    and `pipeline` has heard nothing yet. `keeper` keeps what it knows, every minute, whenever a
    number is given or goes, and once it is flushed. `figures` are brought up to date meanwhile.
    """

    name: str
    open_source: Callable[[], Source]
    pipeline: Pipeline
    keeper: Keeper | None = None
    figures: Figures = field(default_factory=Figures)


def serve(
    streams: Sequence[Stream],
    publisher: Publisher,
    stop: Stop,
    *,
    health_seconds: Callable[[], float] = lambda: 5.0,
    between: Callable[[], None] = lambda: None,
    notifier: Notifier | None = None,
) -> None:
    """Hear all streams to their ends, or until `stop` is asked, and publish what they say.

    A source that goes is waited for if it may come back. One that cannot be opened at the start
    ends all; one that fails for good later leaves the others alone. The last event of every stream
    is a `Health` with `final` set, however it ends; by the first of these, every stream has been
    named by an event.

    Args:
        streams: with names that differ.
        publisher: stays open.
        stop: asked by a signal handler.
        health_seconds: from one heartbeat to the next, as it is at present.
        between: called between two blocks, and a few times a second where there are none.
        notifier: tells a service manager how it goes.

    Raises:
        EarmarkError: a source could not be opened, or failed for good; the first such error.
    """
    house = _House(streams, publisher, notifier or Notifier({}))
    try:
        house.run(stop, health_seconds, between)
    finally:
        house.leave()
    if house.failure is not None:
        raise house.failure


class _House:
    """The stations of all streams and their readers."""

    def __init__(self, streams: Sequence[Stream], publisher: Publisher, notifier: Notifier) -> None:
        self.failure: Exception | None = None
        # A SimpleQueue waits for ever where a signal comes as the time of a wait runs out.
        self._items: queue.Queue[tuple[int, Item]] = queue.Queue()
        self._stations = [
            Station(s.name, s.pipeline, publisher, s.keeper, s.figures) for s in streams
        ]
        self._readers = [Reader(s.open_source, self._items, k) for k, s in enumerate(streams)]
        self._notifier = notifier
        self._ready = False  # whether all sources were open once
        self._closing = False

    def run(
        self, stop: Stop, health_seconds: Callable[[], float], between: Callable[[], None]
    ) -> None:
        for reader in self._readers:
            reader.start()
        last_beat = time.monotonic()
        next_keep = time.monotonic() + KEEP_SECONDS
        silence = 0.0  # seconds without an item
        while not all(station.ended for station in self._stations):
            self._notifier.alive()
            between()
            if stop.asked:
                self._close()
            try:
                key, item = self._items.get(timeout=TICK)
            except queue.Empty:
                silence += TICK
                if self._closing and silence > PATIENCE:
                    return
            else:
                silence = 0.0
                self._take(key, item)
            if time.monotonic() >= last_beat + health_seconds():
                last_beat = time.monotonic()
                for station, reader in zip(self._stations, self._readers, strict=True):
                    if not station.ended:
                        station.beat(reader.waiting)
                self._notifier.status(self._standing())
            if time.monotonic() >= next_keep:
                next_keep = time.monotonic() + KEEP_SECONDS
                for station in self._stations:
                    station.keep()

    def leave(self) -> None:
        """End what has not ended."""
        for reader in self._readers:
            reader.abandon()
        deadline = time.monotonic() + PATIENCE
        for reader in self._readers:
            reader.join(max(0.0, deadline - time.monotonic()))
        for station in self._stations:
            if not station.ended:
                self._name_all_but(station)
                station.end(STOPPED)

    def _take(self, key: int, item: Item) -> None:
        station = self._stations[key]
        if isinstance(item, Ended):
            self._name_all_but(station)
        if isinstance(item, Ended) and item.error is None and self._closing:
            station.end(STOPPED)
        else:
            station.take(item)
        if isinstance(item, Ended) and item.error is not None:
            self.failure = self.failure or item.error
            if not station.opened:
                self._close()
        self._readers[key].release()
        if not self._ready and all(station.opened for station in self._stations):
            self._ready = True
            self._notifier.ready()
            self._notifier.status(self._standing())

    def _name_all_but(self, ending: Station) -> None:
        """Who sees the streams that he knows end should know of those that have yet to open."""
        for station in self._stations:
            if station is not ending and not (station.opened or station.ended):
                station.beat()

    def _standing(self) -> str:
        """How the streams are, in a line."""
        silent = [station.name for station in self._stations if not station.hears]
        count = len(self._stations)
        told = f"hearing {count - len(silent)} of {count} streams"
        return f"{told}, waiting for {', '.join(silent)}" if silent else told

    def _close(self) -> None:
        if not self._closing:
            self._closing = True
            self._notifier.stopping()
            for reader in self._readers:
                reader.close()
