"""A ZeroMQ socket's connection, made again where the other side refused it.

libzmq comes back by itself to a peer that went, in the middle of a handshake, too. But not to one
that refused the key, or that wanted keys where none were given: for it that is final. A key may be
allowed later, and a daemon may be restarted with the keys that it lacked.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress

import zmq
from zmq.utils.monitor import parse_monitor_message

AGAIN = 1.0  # seconds after a refusal
_REFUSALS = (zmq.EVENT_HANDSHAKE_FAILED_AUTH, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)


class Connection:
    """Connects a socket; to be looked at now and then, by the thread that uses the socket."""

    def __init__(
        self, socket: zmq.Socket[bytes], address: str, others: tuple[zmq.Event, ...] = ()
    ) -> None:
        """Connect. `others`: what `look` is to give beside refusals.

        Raises:
            zmq.ZMQError: the address is none.
        """
        self._socket = socket
        self._address = address
        self._again = math.inf  # when to connect again
        self.monitor = socket.get_monitor_socket(sum({*_REFUSALS, *others}))
        socket.connect(address)

    def look(self) -> list[zmq.Event]:
        """What happened since the last look; connects again after a refusal."""
        events = []
        while self.monitor.poll(0):
            message = parse_monitor_message(self.monitor.recv_multipart())
            events.append(zmq.Event(message["event"]))
        if any(event in _REFUSALS for event in events):
            self._again = time.monotonic() + AGAIN
        if time.monotonic() >= self._again:
            self._again = math.inf
            with suppress(zmq.ZMQError):  # it may be gone by itself
                self._socket.disconnect(self._address)
            self._socket.connect(self._address)
        return events

    def close(self) -> None:
        """Stop watching; the socket stays."""
        self._socket.disable_monitor()
        self.monitor.close(0)
