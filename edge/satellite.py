"""A satellite: sends what a source hears to a daemon on another machine, which does the rest."""

from __future__ import annotations

import math
import queue
import secrets
import time
from collections.abc import Callable
from typing import Self

import numpy as np
import zmq
from numpy.typing import NDArray

from edge import log
from edge.connection import Connection
from edge.endpoints import prepare
from edge.errors import EarmarkError
from edge.events import Event, SourceGap, SourceOverflow, format_words
from edge.feed import Feed
from edge.packet import Header, Packet, encode
from edge.reader import TICK, Broken, Ended, Heard, Item, Opened, Reader
from edge.requests import Keys, milliseconds_until
from edge.sources import Source

PACKET = 1_600  # samples: a tenth of a second
QUEUE = 50  # packets that wait while the daemon cannot be reached
LINGER_MS = 1000  # for the last of them
JOIN_SECONDS = 0.3  # for the source to end
PATIENCE = 2.0  # seconds without a daemon before that is told
_TOLD = {
    zmq.EVENT_HANDSHAKE_SUCCEEDED: (log.info, "connected", "connected to the daemon"),
    zmq.EVENT_DISCONNECTED: (log.warning, "disconnected", "the daemon is gone; trying again"),
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: (
        log.error,
        "refused",
        "the daemon does not allow this key ('earmark keys allow ... --audio' there)",
    ),
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: (
        log.error,
        "refused",
        "the daemon's key is not the one given by --server, or one side has keys and one has none",
    ),
}


class Outbox:
    """Where a feed brings 16 kHz samples to: packets of them, with their positions. Pure.

    Packets are of one length, however long a source's blocks are: the queue counts packets, and is
    to hold the same seconds of every source.
    """

    def __init__(self, session: str) -> None:
        self.position = 0
        self._session = session
        self._rest = np.zeros(0, dtype=np.float32)  # too few yet for a packet
        self._packets: list[Packet] = []

    def take(self) -> list[Packet]:
        """The packets that were made since the last time."""
        packets, self._packets = self._packets, []
        return packets

    def push(self, samples: NDArray[np.float32]) -> list[Event]:
        """Put samples (n,) into packets."""
        self.position += len(samples)
        self._rest = np.concatenate([self._rest, samples])
        while len(self._rest) >= PACKET:
            self._pack()
        return []

    def skip(self, count: int, cause: type[SourceGap | SourceOverflow]) -> list[Event]:
        """`count` samples were lost: the next packet begins beyond them."""
        self.flush()
        self.position += count
        return []

    def flush(self) -> list[Event]:
        """Put what waits into a shorter packet."""
        if len(self._rest):
            self._pack()
        return []

    def _pack(self) -> None:
        header = Header(session=self._session, start=self.position - len(self._rest))
        self._packets.append(Packet(header, self._rest[:PACKET]))
        self._rest = self._rest[PACKET:]


class Sender:
    """A socket to the daemon, which says what becomes of the connection. A context manager.

    Args:
        endpoint: of the daemon's satellite source.
        keys: the satellite's own, and the daemon's public one, where that has keys.

    Raises:
        EarmarkError: the endpoint is none, or the keys cannot be read.
    """

    def __init__(self, endpoint: str, keys: Keys | None = None) -> None:
        self._connected = False
        self._reached = False  # was ever connected
        self._dropping = False
        self._last: zmq.Event | None = None
        self._patient_until = time.monotonic() + PATIENCE
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._socket = self._context.socket(zmq.PUSH)
            self._socket.setsockopt(zmq.SNDHWM, QUEUE)
            self._socket.setsockopt(zmq.LINGER, LINGER_MS)
            prepare(self._socket, endpoint)
            if keys is not None:
                keys.give(self._socket)
            self._connection = Connection(self._socket, endpoint, tuple(_TOLD))
        except zmq.ZMQError as error:
            self._context.destroy(0)
            raise EarmarkError(
                f"cannot send to '{endpoint}': {error.strerror}",
                "Use tcp://ADDRESS:PORT or ipc://PATH, where a daemon listens for a satellite",
            ) from error
        except EarmarkError:
            self._context.destroy(0)
            raise

    def send(self, packet: Packet) -> None:
        """Send, or drop what does not fit into the queue; never waits."""
        try:
            self._socket.send_multipart(encode(packet), zmq.NOBLOCK)
        except zmq.Again:
            if not self._dropping:  # told once, not of each packet of a night
                log.warning(
                    "audio.dropped", "the daemon takes no audio; it is dropped until it does"
                )
            self._dropping = True
        else:
            self._dropping = False

    def watch(self) -> None:
        """Tell what became of the connection since the last time."""
        for event in self._connection.look():
            self._tell(event)
        if time.monotonic() > self._patient_until:
            self._patient_until = math.inf
            log.warning(
                "unanswered",
                "no daemon has answered yet; see whether 'earmark run --satellite' is there, "
                "whether it wants keys, and whether --server is its own",
            )

    def reached(self) -> bool:
        """Whether there was a daemon; it is waited for as long as what was sent would be kept."""
        deadline = time.monotonic() + LINGER_MS / 1000
        self.watch()
        while not self._reached and self._connection.monitor.poll(milliseconds_until(deadline)):
            self.watch()
        return self._reached

    def _tell(self, event: zmq.Event) -> None:
        if event == zmq.EVENT_DISCONNECTED and not self._connected:
            return  # it was refused, which is told
        self._connected = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
        self._reached = self._reached or self._connected
        self._patient_until = math.inf
        if event != self._last:  # a refusal comes again with each try
            say, kind, what = _TOLD[event]
            say(kind, what)
        self._last = event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()
        self._socket.close()
        self._context.term()


def relay(open_source: Callable[[], Source], sender: Sender, stopped: Callable[[], bool]) -> None:
    """Send what a source hears until it ends, or until `stopped`.

    Raises:
        EarmarkError: the source could not be opened, or failed for good.
    """
    items: queue.Queue[tuple[int, Item]] = queue.Queue()
    reader = Reader(open_source, items, 0)
    outbox = Outbox(secrets.token_hex(8))
    feed: Feed | None = None
    reader.start()
    try:
        while not stopped():
            sender.watch()
            try:
                _, item = items.get(timeout=TICK)
            except queue.Empty:
                continue
            match item:
                case Opened(name, rate, channels):
                    feed = Feed(outbox, rate)
                    log.info("hearing", f"hearing {name}, {format_words(rate, channels)}")
                case Heard(block) if feed is not None:
                    feed.push(block)
                case Broken(error):
                    log.warning("source.lost", str(error))
            if isinstance(item, Broken | Ended) and feed is not None:
                feed.flush()
            for packet in outbox.take():
                sender.send(packet)
            reader.release()
            if isinstance(item, Ended):
                if item.error is not None:
                    raise item.error
                return
        if feed is not None:
            feed.flush()
        for packet in outbox.take():
            sender.send(packet)
    finally:
        reader.abandon()
        reader.join(JOIN_SECONDS)
