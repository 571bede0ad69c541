"""From the daemon to the browsers: how things stand, and the last events, once for all of them.

A browser that is slow holds no queue here: it has a place in the events, and when what follows it
is gone, it gets how things stand instead.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, takewhile
from typing import NamedTuple

from edge.client import Bookmark, Subscriber
from edge.events import Envelope, encode
from edge.protocol import journal_of
from edge.snapshot import Present

KEPT = 5_000  # events, of some hundred bytes each
PAGE = 500  # events in one message
TICK = 0.2  # seconds within which an end is noticed
MARK = re.compile(r"([0-9A-Za-z-]{1,64}):(0|[1-9][0-9]{0,18})")


class Message(NamedTuple):
    """Envelopes for a browser: `state` (begin anew from these) or `events` (go on with these)."""

    kind: str
    envelopes: list[Envelope]
    bookmark: Bookmark

    def encode(self) -> bytes:
        """As a server-sent event, whose id the browser gives back when it reconnects."""
        lines = b",".join(encode(envelope) for envelope in self.envelopes)
        mark = f"{self.bookmark.journal}:{self.bookmark.next}".encode()
        return b"id: %s\nevent: %s\ndata: [%s]\n\n" % (mark, self.kind.encode(), lines)


def parse_bookmark(text: str) -> Bookmark | None:
    """The id of a message, if it is one."""
    match = MARK.fullmatch(text)
    return Bookmark(match[1], int(match[2])) if match else None


class Relay:
    """Follows a daemon while `follow` runs.

    Attributes:
        changed: set, and replaced by another, whenever there is something new.
    """

    def __init__(self, events: Subscriber) -> None:
        self.changed = asyncio.Event()
        self._events = events
        self._session = ""
        self._present = Present()
        self._recent: deque[Envelope] = deque(maxlen=KEPT)
        self._end: Bookmark | None = None  # behind the last event

    async def follow(self) -> None:
        """Follow the daemon until cancelled; it may come later, and restart."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "earmark-relay") as thread:
            while not await loop.run_in_executor(thread, self._events.join, TICK):
                pass
            for envelope in self._events.state:
                self._present.apply(envelope)
                self._session = envelope.session
            self._end = self._events.bookmark
            self._tell()
            while True:
                batch = await loop.run_in_executor(thread, self._receive)
                for envelope in batch:
                    self._apply(envelope)
                if batch:
                    self._tell()

    def after(self, bookmark: Bookmark | None) -> Message | None:
        """What a browser at a place (None: at none yet) is to get next; None if it has it all."""
        end = self._end
        if end is None or bookmark == end:
            return None
        following: list[Envelope] = []
        if bookmark is not None and bookmark.journal == end.journal and bookmark.next < end.next:
            newest = takewhile(lambda e: e.seq >= bookmark.next, reversed(self._recent))
            following = list(newest)[::-1]
        if not following or bookmark is None or following[0].seq != bookmark.next:
            return Message("state", self._present.envelopes(), end)
        page = list(islice(following, PAGE))
        return Message("events", page, Bookmark.behind(page[-1]))

    def _receive(self) -> list[Envelope]:
        """What has come; waits for the first."""
        batch: list[Envelope] = []
        envelope = self._events.receive(TICK)
        while envelope is not None:
            batch.append(envelope)
            envelope = self._events.receive(0) if len(batch) < PAGE else None
        return batch

    def _apply(self, envelope: Envelope) -> None:
        if envelope.session != self._session:
            if journal_of(envelope.session) != journal_of(self._session):
                self._recent.clear()
            self._session, self._present = envelope.session, Present()
        self._present.apply(envelope)
        self._recent.append(envelope)
        self._end = Bookmark.behind(envelope)

    def _tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()
