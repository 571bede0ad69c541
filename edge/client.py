"""Events in: a subscriber that validates every message and counts what it missed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from types import TracebackType

import msgspec
import zmq

from edge.errors import EarmarkError
from edge.events import VERSION, Envelope, decode

HIGH_WATER_MARK = 10_000
MAX_MESSAGE_BYTES = 1 << 20  # an event has some hundred; nobody makes us hold more


class Subscriber:
    """Follows the events of a daemon; reconnects by itself when the daemon comes back.

    Iterating yields envelopes, until `timeout` seconds pass without one (None: for ever).

    Attributes:
        malformed: messages dropped because they are not envelopes of this version.
        missed: events that were sent but never came, told by holes in `seq`; None where `topics`
            select some, for then holes are no loss.

    Raises:
        EarmarkError: the endpoint is not one.
    """

    def __init__(
        self, endpoint: str, topics: Sequence[str] = ("",), timeout: float | None = None
    ) -> None:
        self.timeout = timeout
        self.malformed = 0
        self._gaps = _Gaps() if "" in topics else None
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self._socket.setsockopt(zmq.IPV6, int("[" in endpoint))
        for topic in topics:
            self._socket.subscribe(topic)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise EarmarkError(
                f"cannot listen at '{endpoint}': {error.strerror}",
                "Use tcp://ADDRESS:PORT or ipc://PATH as printed by 'earmark run'",
            ) from error

    @property
    def missed(self) -> int | None:
        """Events that were sent but never came, or None where that cannot be known."""
        return None if self._gaps is None else self._gaps.missed

    def receive(self, timeout: float | None = None) -> Envelope | None:
        """The next good envelope, or None when none came within `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._socket.poll(_milliseconds_until(deadline)):
            envelope = _parse(self._socket.recv_multipart())
            if envelope is not None:
                if self._gaps is not None:
                    self._gaps.see(envelope)
                return envelope
            self.malformed += 1
        return None

    def __iter__(self) -> Iterator[Envelope]:
        while (envelope := self.receive(self.timeout)) is not None:
            yield envelope

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
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


def _milliseconds_until(deadline: float | None) -> int | None:
    return None if deadline is None else max(0, round(1000 * (deadline - time.monotonic())))


def _parse(frames: list[bytes]) -> Envelope | None:
    """The envelope of a message [topic, JSON], or None where it is not one of this version."""
    if len(frames) != 2:
        return None
    try:
        envelope = decode(frames[1])
    except msgspec.DecodeError:
        return None
    return envelope if envelope.v == VERSION else None


class _Gaps:
    """Counts holes in `seq`: from the first event seen, and from 0 in any later session."""

    def __init__(self) -> None:
        self.missed = 0
        self._session: str | None = None
        self._next = 0

    def see(self, envelope: Envelope) -> None:
        if envelope.session != self._session:
            self._next = envelope.seq if self._session is None else 0
            self._session = envelope.session
        if envelope.seq >= self._next:
            self.missed += envelope.seq - self._next
            self._next = envelope.seq + 1
