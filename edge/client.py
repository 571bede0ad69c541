"""Events in: a subscriber that gives its user every event once and in order, whatever happens.

It follows the published events, and asks for those that it sees missing: dropped because it was
slow, or sent while it or the daemon was away. Memory is bounded: while it asks, events wait in the
socket, and those that find no place there it asks for later.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import msgspec
import zmq

from edge.endpoints import request_endpoint
from edge.errors import EarmarkError
from edge.events import VERSION, Envelope, decode
from edge.keyring import parse_public, read_keyring
from edge.protocol import (
    MAX_REPLY,
    Refusal,
    Replay,
    ReplayRequest,
    Reply,
    Request,
    Snapshot,
    SnapshotRequest,
    decode_reply,
    encode,
    journal_of,
)

HIGH_WATER_MARK = 10_000
MAX_EVENT = 1 << 20  # bytes; an event has some hundred, and nobody makes us hold more
PATIENCE = 1.0  # seconds for an answer before it is asked for again
COMMAND_PATIENCE = 12.0  # seconds; the daemon gives up after ten
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


class Keys(NamedTuple):
    """The file with the client's own keys, and the public key of the daemon."""

    file: Path
    server: str

    def give(self, socket: zmq.Socket[bytes]) -> None:
        """Make a socket speak with that daemon alone.

        Raises:
            EarmarkError: the keys cannot be read, or are none.
        """
        keyring = read_keyring(self.file)
        socket.curve_serverkey = parse_public(self.server)
        socket.curve_publickey = bytes.fromhex(keyring.public)
        socket.curve_secretkey = bytes.fromhex(keyring.secret)


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
        self._requests = _Requests(self._context)
        try:
            for socket, address in (
                (self._events, endpoint),
                (self._requests.socket, request_endpoint(endpoint)),
            ):
                socket.setsockopt(zmq.IPV6, int("[" in address))
                if keys is not None:
                    keys.give(socket)
                socket.connect(address)
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
        """Whether the daemon has answered within `timeout` seconds: no later event gets lost."""
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
        """The next event, or None when none came within `timeout` seconds."""
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
        self._events.close()
        self._requests.close()
        self._context.term()

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _next(self) -> Envelope | None:
        """The event at the bookmark, if it is here."""
        assert self.bookmark is not None
        while self._replayed:
            envelope = self._replayed.popleft()
            if envelope.seq >= self.bookmark.next:
                self.missed += envelope.seq - self.bookmark.next
                return envelope
        live = self._live
        if live is not None and journal_of(live.session) == self.bookmark.journal:
            if live.seq <= self.bookmark.next:
                self._live = None
            if live.seq == self.bookmark.next:
                return live
        return None

    def _wait(self, deadline: float | None) -> bool:
        """Wait for a published event, and ask whether there is one when it is quiet for long."""
        quiet = self._checked + QUIET
        if not self._events.poll(_milliseconds_until(_earlier(deadline, quiet))):
            if deadline is not None and time.monotonic() >= deadline:
                return False
            if self._catch_up(deadline, self._events):
                return True
            if not self._events.poll(0):
                return False
        self._live = self._parse(self._events.recv_multipart())
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
        if journal != self.bookmark.journal:
            # Another numbering: all its events are new. What came of it live stays where it is.
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


def command(endpoint: str, request: Request, keys: Keys | None = None) -> Reply:
    """What a daemon answers to one request, which is sent once and not repeated.

    Raises:
        EarmarkError: the endpoint is not one, there was no answer, or it is a refusal.
    """
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY)
        socket.setsockopt(zmq.IPV6, int("[" in endpoint))
        if keys is not None:
            keys.give(socket)
        address = request_endpoint(endpoint)
        try:
            socket.connect(address)
        except zmq.ZMQError as error:
            raise EarmarkError(
                f"cannot ask at '{address}': {error.strerror}",
                "Use tcp://ADDRESS:PORT or ipc://PATH as printed by 'earmark run'",
            ) from error
        socket.send(encode(request))
        if not socket.poll(round(COMMAND_PATIENCE * 1000)):
            raise EarmarkError(
                f"no daemon answers at {endpoint}",
                "See whether it runs, and whether it allows your key",
            )
        try:
            reply = decode_reply(socket.recv())
        except msgspec.DecodeError as error:
            raise EarmarkError(
                f"what answers at {endpoint} is no daemon of this version: {error}"
            ) from error
    if isinstance(reply, Refusal):
        raise EarmarkError(reply.what, reply.remedy)
    return reply


class _Requests:
    """Asks, and asks again where no answer comes; one request at a time is under way."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.malformed = 0
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 1)
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY)
        self._request: Request | None = None  # under way
        self._id = 0  # its
        self._overdue = 0.0  # when it is sent again

    def ask(
        self, request: Request, deadline: float | None, unless: zmq.Socket[bytes] | None = None
    ) -> Reply | None:
        """The answer to a request, which is repeated until there is one.

        None if there is none by `deadline`, or before the socket `unless` has something; to ask
        the same again is then to wait on.
        """
        if request != self._request:
            self._request, self._overdue = request, 0.0
            self._id += 1
        while True:
            if time.monotonic() >= self._overdue:
                with suppress(zmq.Again):  # it is full while nobody is there; one waits already
                    data = encode(msgspec.structs.replace(request, id=self._id))
                    self.socket.send(data, zmq.NOBLOCK)
                self._overdue = time.monotonic() + PATIENCE
            ready = self._poll(_earlier(deadline, self._overdue), unless)
            if self.socket in ready:
                reply = self._receive()
                if reply is not None:
                    self._request = None
                    return reply
            elif ready or (deadline is not None and time.monotonic() >= deadline):
                return None

    def close(self) -> None:
        self.socket.close()

    def _poll(self, until: float, other: zmq.Socket[bytes] | None) -> set[zmq.Socket[bytes]]:
        poller = zmq.Poller()
        for socket in (self.socket, other):
            if socket is not None:
                poller.register(socket, zmq.POLLIN)
        return {socket for socket, _ in poller.poll(_milliseconds_until(until))}

    def _receive(self) -> Reply | None:
        """An answer to what is under way, not to what was asked before."""
        frames = self.socket.recv_multipart()
        try:
            reply = decode_reply(frames[0] if len(frames) == 1 else b"")
        except msgspec.DecodeError:
            self.malformed += 1
            return None
        return reply if reply.id == self._id else None


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _earlier(deadline: float | None, moment: float) -> float:
    return moment if deadline is None else min(deadline, moment)


def _milliseconds_until(moment: float) -> int:
    return max(0, round(1000 * (moment - time.monotonic())))
