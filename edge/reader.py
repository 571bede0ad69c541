"""The thread that reads a source, and sees it through losses, for the daemon."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import NamedTuple

from edge.clock import now
from edge.errors import EarmarkError
from edge.sources import Block, Source

QUEUE_BLOCKS = 8  # of one source; its reader waits while so many are on their way
TICK = 0.1  # seconds within which a stop is noticed


class Opened(NamedTuple):
    """The source gives audio, for the first time or again."""

    name: str
    rate: int
    channels: int


class Heard(NamedTuple):
    """A block; `drift` and `refused` of the source as they are now."""

    block: Block
    read_at: float  # edge.clock.now()
    drift: float | None
    refused: int = 0


class Broken(NamedTuple):
    """The source failed; it may come back."""

    error: EarmarkError


class Ended(NamedTuple):
    """The last item. `error` is what ended it, unless that was its end or `close`."""

    error: Exception | None


Item = Opened | Heard | Broken | Ended


class Reader:
    """Puts what becomes of one source on a queue that several readers share.

    Args:
        open_source: opens it; called once, in the thread.
        items: where pairs of `key` and an item go; at most `QUEUE_BLOCKS` of this reader at once.
        key: names this reader on the queue.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        items: queue.Queue[tuple[int, Item]],
        key: int,
    ) -> None:
        self._open_source = open_source
        self._items = items
        self._key = key
        self._slots = threading.Semaphore(QUEUE_BLOCKS)
        self._source: Source | None = None
        self._given, self._taken = 0, 0  # items, each counted by one thread alone
        self._closed = False
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="earmark-source", daemon=True)

    @property
    def waiting(self) -> int:
        """Items on the queue that were not dealt with yet."""
        return self._given - self._taken

    def start(self) -> None:
        """Open the source and begin to read."""
        self._thread.start()

    def release(self) -> None:
        """An item was taken from the queue and is dealt with."""
        self._taken += 1
        self._slots.release()

    def close(self) -> None:
        """End the source soon; what was read still comes."""
        self._closed = True
        if self._source is not None:
            self._source.close()

    def abandon(self) -> None:
        """End the source soon, and forget what was read."""
        self._abandoned = True
        self.close()

    def join(self, patience: float) -> None:
        """Wait for the end at most `patience` seconds."""
        self._thread.join(patience)

    def _run(self) -> None:
        error: Exception | None = None
        try:
            with self._open_source() as source:
                self._source = source
                if not self._closed:
                    self._read(source)
        except Exception as failure:  # raised again by the daemon
            error = failure
        self._put(Ended(error))

    def _read(self, source: Source) -> None:
        self._put(Opened(source.name, source.rate, source.channels))
        is_lost = False
        while True:
            try:
                for block in source.blocks():
                    if is_lost:
                        self._put(Opened(source.name, source.rate, source.channels))
                        is_lost = False
                    self._put(Heard(block, now(), source.drift, source.refused))
                return
            except EarmarkError as failure:
                if not is_lost:
                    self._put(Broken(failure))
                is_lost = True
                if not source.reopen():
                    if self._closed:
                        return
                    raise

    def _put(self, item: Item) -> None:
        while not self._abandoned:
            if self._slots.acquire(timeout=TICK):
                self._given += 1
                self._items.put((self._key, item))
                return
