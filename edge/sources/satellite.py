"""A satellite as a source: a machine with a microphone, which sends its sound over ZeroMQ.

It connects, this end listens; `edge.satellite` is the other one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import zmq

from edge import log
from edge.clock import now
from edge.endpoints import bindable, bound, prepare
from edge.errors import EarmarkError
from edge.front_end import SAMPLE_RATE
from edge.packet import MAX_SAMPLES, Packet, decode
from edge.sources import Block, Source
from edge.sources.sample_clock import SampleClock

if TYPE_CHECKING:
    from edge.curve import Guard

_TICK_MS = 100  # within which a close is noticed
SILENT_SECONDS = 1.0  # without a packet: the satellite, or the way to it, is gone
_QUEUE = 100  # packets that may wait here; more wait, and are dropped, at the satellite
_LONGEST_GAP = 30 * 86_400 * SAMPLE_RATE  # samples


class SatelliteSource(Source):
    """Hears one satellite at a time, which may go and come back.

    Args:
        endpoint: to listen at: `tcp://ADDRESS:PORT`, or `ipc://PATH`.
        keys: file with the daemon's keys and those that are allowed; used for tcp://.

    Raises:
        EarmarkError: the endpoint is malformed, in use, or open to other machines without keys, or
            the keys cannot be read.
    """

    rate, channels = SAMPLE_RATE, 1

    def __init__(self, endpoint: str, keys: Path | None = None) -> None:
        if endpoint.startswith("ipc://"):
            keys = None
        endpoint = bindable(endpoint, encrypted=keys is not None)
        self._refused = 0
        self._closed = False
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._guard: Guard | None = None
        self._session: str | None = None  # of the satellite being heard
        self._position = 0  # in it, of the next sample
        self._due = now()  # when the next sample should come, while none does
        self._clock = SampleClock(SAMPLE_RATE)
        self._waiting: Packet | None = None  # what ended the wait for it
        try:
            if keys is not None:
                from edge.curve import Guard  # noqa: PLC0415 (asyncio is loaded with it)

                self._guard = Guard(self._context, keys, lambda client: client.audio)
            self._socket = self._listen(endpoint)
        except EarmarkError:
            self._end()
            raise
        self.endpoint: str = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.name = f"satellite at {self.endpoint}"

    @property
    def drift(self) -> float | None:
        """Of the satellite's clock, ppm; positive where it runs fast; None while unknown."""
        return self._clock.drift

    @property
    def refused(self) -> int:
        """Messages so far that were no packet of the satellite being heard."""
        return self._refused

    def blocks(self) -> Iterator[Block]:
        """What it hears; what it lost, or the way lost, is a `gap`.

        Raises:
            EarmarkError: nothing came for a second; `reopen` waits for more.
        """
        silent = 0.0  # seconds without a packet of this satellite's, whatever else came
        while not self._closed:
            began = now()
            packet, self._waiting = self._waiting or self._receive(), None
            block = None if packet is None else self._block(packet)
            if block is not None:
                silent = 0.0
                yield block
                continue
            # At most a tick each: the time that this process was suspended is not the satellite's.
            silent += min(now() - began, _TICK_MS / 1000)
            if silent >= SILENT_SECONDS:
                raise EarmarkError(
                    f"nothing came from the {self.name} for {SILENT_SECONDS:g} s",
                    "See whether 'earmark satellite' runs there, and reaches this machine",
                )

    def reopen(self) -> bool:
        """Wait until a satellite sends: True; False when closed meanwhile."""
        while not self._closed:
            self._waiting = self._receive()
            if self._waiting is not None:
                header = self._waiting.header
                if header.session != self._session or header.start < self._position:
                    self._session = None  # what is missing only the clock can tell
                return True
        return False

    def close(self) -> None:
        """End `blocks()` and `reopen()`."""
        self._closed = True

    def __exit__(self, *exception: object) -> None:
        self.close()
        self._end()

    def _block(self, packet: Packet) -> Block | None:
        """The packet's sound, and what is missing before it; None if it came before, or is not of
        the satellite being heard.
        """
        if self._session not in (None, packet.header.session):
            self._refuse("another satellite sends to the same endpoint")
            return None
        at, count = now(), len(packet.samples)
        gap = packet.header.start - self._position
        if self._session is None or gap > _LONGEST_GAP:
            # Another satellite's positions, or nonsense: what is missing only the clock can tell.
            gap = max(0, round((at - self._due) * SAMPLE_RATE) - count)
            self._clock = SampleClock(SAMPLE_RATE)
        elif gap < 0:
            self._refuse(f"a packet came again, or {-gap} samples too late")
            return None
        self._session, self._position = packet.header.session, packet.end
        # The way here may be slower now than it was: what is late is not lost.
        self._clock.hear(count, gap, at)
        self._due = at
        return Block(packet.samples, gap=gap, at=min(at, self._clock.due or at))

    def _receive(self) -> Packet | None:
        """The next packet within a tick, if one comes."""
        if not self._socket.poll(_TICK_MS):
            return None
        frames = self._socket.recv_multipart(copy=False)
        if self._guard is not None:
            key = self._guard.key_of(frames[-1])
            client = self._guard.keyring.client(key)  # a connection outlives the right to it
            if client is None or not client.audio:
                self._refuse(f"the key {key} is not allowed to send audio")
                return None
        try:
            return decode([frame.bytes for frame in frames])
        except msgspec.DecodeError as error:
            self._refuse(f"what came is no packet: {error}")
            return None

    def _refuse(self, why: str) -> None:
        self._refused += 1
        log.warning("audio.refused", f"{self.name}: {why}; dropped")

    def _listen(self, endpoint: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.PULL)
        socket.setsockopt(zmq.RCVHWM, _QUEUE)
        socket.setsockopt(zmq.MAXMSGSIZE, 2 * MAX_SAMPLES)
        prepare(socket, endpoint)
        if self._guard is not None:
            self._guard.protect(socket)
        with bound(endpoint):
            socket.bind(endpoint)
        return socket

    def _end(self) -> None:
        if self._guard is not None:
            self._guard.close()
        self._context.destroy(0)
