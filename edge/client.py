"""Events in: a subscriber that gives its user every event once and in order, whatever happens.

It follows the published events, and asks for those that it sees missing: dropped because it was
slow, or sent while it or the daemon was away. Memory is bounded: while it asks, events wait in the
socket, and those that find no place there it asks for later.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import msgspec
import zmq

from edge.connection import Connection
from edge.endpoints import prepare, request_endpoint
from edge.errors import EarmarkError
from edge.events import VERSION, Envelope, decode
from edge.protocol import (
    Refusal,
    Replay,
    ReplayRequest,
    Reply,
    Request,
    Snapshot,
    SnapshotRequest,
    journal_of,
)
from edge.requests import Keys, Requests, earlier, milliseconds_until

HIGH_WATER_MARK = 10_000
MAX_EVENT = 1 << 20  # bytes; an event has some hundred, and nobody makes us hold more
QUIET = 0.5  # seconds without an event before it is asked whether there is one


@dataclass(frozen=True)
class Bookmark:
    """A place in the events, behind the last one that was dealt with.

    `journal` is the first part of its `session`, `next` the number of the event to come.
    """

    journal: str
    next: int

    @classmethod
    def behind(cls, envelope: Envelope) -> Bookmark:
        """The place behind an event."""
        return cls(journal_of(envelope.session), envelope.seq + 1)


class Subscriber:
    """Follows the events of a daemon, across restarts of either side.

    Iterating yields envelopes, until `timeout` seconds pass without one (None: for ever).

    Attributes:
        state: once joined without a bookmark, the past events that tell how things stand.
        bookmark: the place behind the last event given out; None before it has joined. Who keeps
            it can go on from there in another process.
        missed: events that the daemon no longer had when they were asked for.
        malformed: messages dropped because they are not of this version of Earmark.
    """

    def __init__(
        self,
        endpoint: str,
        timeout: float | None = None,
        bookmark: Bookmark | None = None,
        keys: Keys | None = None,
    ) -> None:
        """Connect, as soon as the daemon is there.

        Args:
            endpoint: of the daemon, as 'earmark run' prints it.
            timeout: of the iteration.
            bookmark: where to go on; without one, from now on.
            keys: of a daemon that has some; it answers nobody else.

        Raises:
            EarmarkError: the endpoint is not one, or the keys cannot be read.
        """
        self.timeout = timeout
        self.state: list[Envelope] = []
        self.bookmark = bookmark
        self.missed = 0
        self.malformed = 0
        self._replayed: deque[Envelope] = deque()
        self._live: Envelope | None = None  # the next published one, not given out yet
        self._checked = 0.0  # when it was last known that there is nothing more
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._events = self._context.socket(zmq.SUB)
        self._events.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
        self._events.setsockopt(zmq.MAXMSGSIZE, MAX_EVENT)
        self._events.setsockopt(zmq.LINGER, 0)
        self._connections: list[Connection] = []
        self._requests = Requests(self._context, self._look)
        try:
            for socket, address in (
                (self._events, endpoint),
                (self._requests.socket, request_endpoint(endpoint)),
            ):
                prepare(socket, address)
                if keys is not None:
                    keys.give(socket)
                self._connections.append(Connection(socket, address))
        except EarmarkError:
            self.close()
            raise
        except zmq.ZMQError as error:
            self.close()
            raise EarmarkError(
                f"cannot listen at '{endpoint}'",
                "Use tcp://ADDRESS:PORT or ipc://PATH as printed by 'earmark run'",
            ) from error
        if bookmark is not None:
            self._events.subscribe("")

    def join(self, timeout: float | None = None) -> bool:
        """Whether the daemon has answered within `timeout` seconds: no later event gets lost.

        Raises:
            EarmarkError: it refuses to, being of another version.
        """
        deadline = _deadline(timeout)
        while self.bookmark is None:
            reply = self._ask(SnapshotRequest(id=0), deadline)
            if reply is None:
                return False
            if isinstance(reply, Snapshot):
                self.state = self._decode(reply.events)
                self.bookmark = Bookmark(journal_of(reply.session), reply.next)
                # Not before: what is published until it is in force is asked for, none is missed.
                self._events.subscribe("")
        return True

    def receive(self, timeout: float | None = None) -> Envelope | None:
        """The next event, or None when none came within `timeout` seconds.

        Raises:
            EarmarkError: as `join`.
        """
        deadline = _deadline(timeout)
        if not self.join(timeout):
            return None
        while True:
            envelope = self._next()
            if envelope is not None:
                self.bookmark = Bookmark.behind(envelope)
                return envelope
            if self._live is not None:
                if not self._catch_up(deadline):
                    return None
            elif not self._wait(deadline):
                return None

    def __iter__(self) -> Iterator[Envelope]:
        while (envelope := self.receive(self.timeout)) is not None:
            yield envelope

    def close(self) -> None:
        """Stop listening."""
        for connection in self._connections:
            connection.close()
        self._events.close()
        self._requests.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _look(self) -> None:
        """Whoever was refused may be let in by now."""
        for connection in self._connections:
            connection.look()

    def _next(self) -> Envelope | None:
        """The event at the bookmark, if it is here."""
        assert self.bookmark is not None
        while self._replayed:
            envelope = self._replayed.popleft()
            if envelope.seq >= self.bookmark.next:
                self.missed += envelope.seq - self.bookmark.next
                return envelope
        live = self._live
        if live is not None and live.seq == 0:
            # Where a numbering begins nothing went before, and the daemon, which may have ended by
            # now, need not be asked.
            journal = journal_of(live.session)
            if journal != self.bookmark.journal:
                self.bookmark = Bookmark(journal, 0)
        if live is not None and journal_of(live.session) == self.bookmark.journal:
            if live.seq <= self.bookmark.next:
                self._live = None
            if live.seq == self.bookmark.next:
                return live
        return None

    def _wait(self, deadline: float | None) -> bool:
        """Wait for a published event, and ask whether there is one when it is quiet for long."""
        quiet = self._checked + QUIET
        if not self._events.poll(milliseconds_until(earlier(deadline, quiet))):
            if deadline is not None and time.monotonic() >= deadline:
                return False
            if self._catch_up(deadline, self._events):
                return True
            if not self._events.poll(0):
                return False
        self._live = live = self._parse(self._events.recv_multipart())
        assert self.bookmark is not None
        if live is not None and live.seq >= self.bookmark.next:  # else it may be numbered anew
            self._checked = time.monotonic()
        return True

    def _catch_up(self, deadline: float | None, unless: zmq.Socket[bytes] | None = None) -> bool:
        """Ask for the events from the bookmark on; whether there was an answer in time."""
        assert self.bookmark is not None
        reply = self._ask(ReplayRequest(id=0, start=self.bookmark.next), deadline, unless)
        if reply is None:
            return False
        if not isinstance(reply, Replay):
            return True
        journal = journal_of(reply.session)
        if journal != self.bookmark.journal or reply.end < self.bookmark.next:
            # Another numbering, or this one from an older copy of its folder: all its events are
            # new. What came of it live stays where it is.
            self.bookmark = Bookmark(journal, 0)
            return True
        self._replayed.extend(self._decode(reply.events))
        self._checked = time.monotonic() if reply.next >= reply.end else 0.0
        live = self._live
        if live is not None and (journal_of(live.session) != journal or live.seq >= reply.end):
            self._live = None  # of a journal that is no more
        if not self._replayed:
            after = reply.next
            if self._live is not None:
                after = min(after, self._live.seq)
            self.missed += max(0, after - self.bookmark.next)
            self.bookmark = Bookmark(journal, max(after, self.bookmark.next))
        return True

    def _ask(
        self,
        request: Request,
        deadline: float | None,
        unless: zmq.Socket[bytes] | None = None,
    ) -> Reply | None:
        reply = self._requests.ask(request, deadline, unless)
        self.malformed += self._requests.malformed
        self._requests.malformed = 0
        if isinstance(reply, Refusal):
            raise EarmarkError(reply.what, reply.remedy)
        return reply

    def _parse(self, frames: list[bytes]) -> Envelope | None:
        envelopes = self._decode([frames[1]] if len(frames) == 2 else [b""])
        return envelopes[0] if envelopes else None

    def _decode(self, lines: list[msgspec.Raw] | list[bytes]) -> list[Envelope]:
        """The envelopes among them that are of this version; the others are counted."""
        envelopes = []
        for line in lines:
            try:
                envelope = decode(line)
            except msgspec.DecodeError:
                envelope = None
            if envelope is not None and envelope.v == VERSION:
                envelopes.append(envelope)
            else:
                self.malformed += 1
        return envelopes


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout
