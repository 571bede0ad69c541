"""A socket from which events go to all who subscribe, without waiting for anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmq

from edge.endpoints import bindable, bound, prepare

if TYPE_CHECKING:
    from edge.curve import Guard

HIGH_WATER_MARK = 10_000  # events kept for a slow subscriber; it asks for what drops beyond
LINGER_MS = 300  # for the last events to leave; who does not read finds them in the journal
MAX_SUBSCRIPTION = 1_100  # bytes: a topic of 1000, as CURVE and ZeroMQ wrap it


class Outlet:
    """An XPUB socket: like PUB it never waits for a subscriber, but it sees them come.

    One thread at a time may use it.

    Attributes:
        endpoint: where it is bound, with the port that was found for `:*`.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, guard: Guard | None
    ) -> None:
        """Bind a socket of `context`; without a `guard` whoever can connect may subscribe.

        Raises:
            EarmarkError: the endpoint is in use, malformed, or open to other machines.
        """
        self._context = context
        self._guard = guard
        endpoint = bindable(endpoint, encrypted=guard is not None)
        self._socket = self._make(endpoint)
        with bound(endpoint):
            self._socket.bind(endpoint)
        self.endpoint: str = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def send(self, topic: bytes, data: bytes) -> None:
        """Give an event to everybody who subscribes to its topic; to nobody while it is cut."""
        if self._socket.closed:
            return
        self.take_subscriptions()
        self._socket.send_multipart([topic, data])

    def take_subscriptions(self) -> bool:
        """Empty the queue of (un)subscriptions, which would grow; whether one subscribed."""
        subscribed = False
        for _ in range(HIGH_WATER_MARK):
            if self._socket.closed or not self._socket.poll(0):
                break
            subscribed |= self._socket.recv(zmq.NOBLOCK).startswith(b"\x01")
        return subscribed

    def cut(self) -> None:
        """Cut all subscribers off, and let nobody come until `reopen`.

        libzmq asks who somebody is only once, when he connects, and cannot show one the door.
        """
        self._socket.close(0)

    def reopen(self) -> None:
        """Let those who still may come back; they ask for what they missed.

        Raises:
            zmq.ZMQError: libzmq, which takes its time, has not freed the endpoint yet, or somebody
                else has bound it, or the machine has no files left.
        """
        socket = self._make(self.endpoint)
        try:
            socket.bind(self.endpoint)
        except zmq.ZMQError:
            socket.close(0)
            raise
        self._socket = socket

    def close(self, linger: int = LINGER_MS) -> None:
        """Free the endpoint; what is on its way has `linger` milliseconds to leave."""
        self._socket.close(linger)

    def _make(self, endpoint: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.XPUB)
        socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION)
        prepare(socket, endpoint)
        if self._guard is not None:
            self._guard.protect(socket)
        return socket
