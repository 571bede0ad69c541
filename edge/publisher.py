"""Events out: numbered, kept, dated and published over ZeroMQ."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import zmq

from edge import __version__, log
from edge.command_queue import CommandQueue
from edge.endpoints import bindable, bound, request_endpoint
from edge.errors import EarmarkError
from edge.events import VERSION, Envelope, Event, encode, topic
from edge.journal import Journal
from edge.outlet import Outlet
from edge.packing import pack
from edge.protocol import (
    PAGE_BYTES,
    PAGE_EVENTS,
    Command,
    Refusal,
    Replay,
    ReplayRequest,
    Reply,
    Request,
    Snapshot,
    SnapshotRequest,
    Status,
)
from edge.service import Service
from edge.snapshot import Present

if TYPE_CHECKING:
    from edge.curve import Guard

SUBSCRIPTION_TICK = 0.01  # seconds
PORT_TRIES = 20  # for two ports in a row where any will do
REBIND_TRIES = 500  # at a port that was just closed
REBIND_SECONDS = 0.01  # from one to the next


class Traffic(NamedTuple):
    """Since it began: requests answered, messages that were none, connections refused, and events
    that the journal could not keep.
    """

    requests: int
    malformed: int
    refused: int
    unwritten: int


class Publisher:
    """Puts events into envelopes without a hole in `seq` and sends each as [topic, JSON].

    Every event is in the journal before it is sent; a `Service` beside the socket gives them out
    again, and says how things stand. Any thread may publish.

    MessagePack goes out at an endpoint of its own: a topic of its own at the same one would also
    reach those who subscribe to all topics, for JSON.

    Args:
        endpoint: `tcp://` (`:*` chooses a free port) or `ipc://`.
        journal: folder of the events that can be asked for; numbering goes on where it ends.
        keys: file with the daemon's keys and those that are allowed; without it nothing is
            encrypted, and `tcp://` must be on a loopback address.
        msgpack: a further endpoint, for the same events as [topic, MessagePack].

    Raises:
        EarmarkError: an endpoint or the journal is in use, both endpoints are the same, one is
            malformed or open to other machines, the journal cannot be written, or the keys cannot
            be read.
    """

    def __init__(
        self,
        endpoint: str,
        journal: Path,
        keys: Path | None = None,
        msgpack: str | None = None,
    ) -> None:
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._present = Present()
        self.commands = CommandQueue()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._guard: Guard | None = None
        self._packed: Outlet | None = None  # of MessagePack
        try:
            if keys is not None:
                from edge.curve import Guard  # noqa: PLC0415 (asyncio is loaded with it)

                self._guard = Guard(self._context, keys)
            self._open(endpoint)
            if msgpack is not None:
                self._check_own(msgpack)
                self._packed = Outlet(self._context, msgpack, self._guard)
            self._journal = Journal(journal)
        except EarmarkError:
            if self._guard is not None:
                self._guard.close()
            self._context.destroy(0)
            raise
        self._service.start()

    @property
    def endpoint(self) -> str:
        """Where events go out as JSON."""
        return self._events.endpoint

    @property
    def msgpack_endpoint(self) -> str | None:
        """Where events go out as MessagePack; None: nowhere."""
        return self._packed.endpoint if self._packed else None

    @property
    def traffic(self) -> Traffic:
        """What came and what could not be done."""
        return Traffic(
            requests=self._service.requests,
            malformed=self._service.malformed,
            refused=self._guard.refused if self._guard else 0,
            unwritten=self._journal.unwritten,
        )

    @property
    def session(self) -> str:
        """This run of the daemon; see `edge.journal.Journal.session`."""
        return self._journal.session

    def publish(self, stream: str, event: Event, sample: int) -> Envelope:
        """Keep and send `event` of `stream`, made at its position `sample`; never waits."""
        with self._lock:
            envelope = Envelope(
                VERSION, self.session, stream, self._journal.next, sample, time.time(), event
            )
            data = encode(envelope)
            self._journal.append(data)
            self._present.apply(envelope)
            name = topic(envelope)
            self._events.send(name, data)
            if self._packed is not None:
                self._packed.send(name, pack(envelope))
        return envelope

    def wait_for_subscriber(self, timeout: float) -> bool:
        """Whether somebody subscribes within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            with self._lock:
                if any([outlet.take_subscriptions() for outlet in self._outlets()]):
                    return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(SUBSCRIPTION_TICK)

    def close(self) -> None:
        """Deliver what is on its way, for a bounded time, and free the endpoint."""
        self.commands.close()  # the service waits for the one that it has
        self._service.close()
        for outlet in self._outlets():
            outlet.close()
        if self._guard is not None:
            self._guard.close()
        self._context.term()
        self._journal.close()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, endpoint: str) -> None:
        """Bind for JSON and requests; where any port will do, at two that follow each other."""
        for tries_left in reversed(range(PORT_TRIES)):
            self._events = Outlet(self._context, endpoint, self._guard)
            self._service = Service(self._context, self._answer, self._guard, self._cut)
            try:
                requests = bindable(request_endpoint(self.endpoint), self._guard is not None)
                with bound(requests):
                    self._service.bind(requests)
                return
            except EarmarkError:
                if not (endpoint.endswith(":*") and tries_left):
                    raise
                self._service.close()
                self._events.close(0)

    def _check_own(self, msgpack: str) -> None:
        """Refuse what is bound for JSON: it would be told as in use, by whom nobody could find."""
        if msgpack in (self.endpoint, request_endpoint(self.endpoint)):
            raise EarmarkError(
                f"msgpack is '{msgpack}', where endpoint '{self.endpoint}' has events or requests",
                "Give msgpack an endpoint of its own, such as tcp://127.0.0.1:7709",
            )

    def _outlets(self) -> list[Outlet]:
        return [outlet for outlet in (self._events, self._packed) if outlet is not None]

    def _cut(self) -> None:
        """Cut all subscribers off: somebody may no longer be one.

        Raises:
            zmq.ZMQError: not all those who still may can come back.
        """
        with self._lock:
            for outlet in self._outlets():
                outlet.cut()
        for outlet in self._outlets():
            self._reopen(outlet)

    def _reopen(self, outlet: Outlet) -> None:
        """Try until its port is free; between the tries events may be published."""
        for tries_left in reversed(range(REBIND_TRIES)):
            try:
                with self._lock:
                    outlet.reopen()
                return
            except zmq.ZMQError as error:
                if error.errno != zmq.EADDRINUSE or not tries_left:
                    raise
            time.sleep(REBIND_SECONDS)

    def _answer(self, request: Request, may_command: bool) -> Reply:
        """What the service replies; called in its thread."""
        if isinstance(request, Command):
            kind = type(request).__struct_config__.tag
            # An ipc socket is its owner's alone; a loopback address is everybody's on the machine.
            if may_command or self.endpoint.startswith("ipc://"):
                reply = self.commands.submit(request)
                if isinstance(reply, Refusal):
                    log.warning("command.refused", f"a command was refused: {kind}")
                return reply
            log.warning("command.refused", f"a command came from who may not give any: {kind}")
            return Refusal(
                id=request.id,
                what="commands need an ipc:// endpoint, or a key with the right to command",
                remedy="Run the daemon with --endpoint ipc://PATH, or give a key the right by "
                "'earmark keys allow FILE NAME PUBLIC --commands'",
            )
        with self._lock:
            end = self._journal.next
            present = self._present.envelopes() if isinstance(request, SnapshotRequest) else []
            streams = self._present.streams
        match request:
            case SnapshotRequest():
                lines = [msgspec.Raw(encode(envelope)) for envelope in present]
                return Snapshot(id=request.id, session=self.session, next=end, events=lines)
            case ReplayRequest():
                first, page = self._journal.read(request.start, PAGE_EVENTS, PAGE_BYTES)
                return Replay(
                    id=request.id,
                    session=self.session,
                    next=first + len(page),
                    end=max(end, first + len(page)),
                    events=[msgspec.Raw(line) for line in page],
                )
        return Status(
            id=request.id,
            session=self.session,
            version=__version__,
            seconds=time.monotonic() - self._began,
            streams=streams,
            first=self._journal.first,
            next=end,
            unwritten=self._journal.unwritten,
            malformed=self._service.malformed,
        )
