"""Events out: numbered, dated and published over ZeroMQ, on this machine only."""

from __future__ import annotations

import secrets
import time
from types import TracebackType

import zmq

from edge.endpoints import in_use, local_endpoint
from edge.errors import EarmarkError
from edge.events import VERSION, Envelope, Event, encode, topic

HIGH_WATER_MARK = 10_000  # events kept for a slow subscriber; beyond it they drop and `seq` tells
LINGER_MS = 2_000  # what a close may spend on delivering the last events


class Publisher:
    """Puts events into envelopes without a hole in `seq` and sends each as [topic, JSON].

    It is an XPUB socket: like PUB it never waits for a subscriber, but it sees them come.

    Args:
        endpoint: `tcp://` on a loopback address (`:*` chooses a free port) or `ipc://`.

    Raises:
        EarmarkError: the endpoint is in use, malformed, or open to other machines.
    """

    def __init__(self, endpoint: str) -> None:
        endpoint = local_endpoint(endpoint)
        self.session = secrets.token_hex(8)
        self._seq = 0
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        self._socket.setsockopt(zmq.IPV6, int(endpoint.startswith("tcp://[")))
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise _bind_error(endpoint, error) from error
        self.endpoint: str = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def publish(self, stream: str, event: Event, sample: int) -> Envelope:
        """Send `event`, made at position `sample` of a stream; never waits.

        `seq` counts over all streams of this session.
        """
        envelope = Envelope(VERSION, self.session, stream, self._seq, sample, time.time(), event)
        self._seq += 1
        self._take_subscriptions()
        self._socket.send_multipart([topic(envelope), encode(envelope)])
        return envelope

    def wait_for_subscriber(self, timeout: float) -> bool:
        """Whether somebody subscribes within `timeout` seconds."""
        return bool(self._socket.poll(round(timeout * 1000))) and self._take_subscriptions()

    def close(self) -> None:
        """Deliver what is on its way, for a bounded time, and free the endpoint."""
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _take_subscriptions(self) -> bool:
        """Empty the queue of (un)subscriptions, which would grow; whether one subscribed."""
        subscribed = False
        while self._socket.poll(0):
            subscribed |= self._socket.recv(zmq.NOBLOCK).startswith(b"\x01")
        return subscribed


def _bind_error(endpoint: str, error: zmq.ZMQError) -> EarmarkError:
    if error.errno == zmq.EADDRINUSE:
        return in_use(endpoint)
    return EarmarkError(
        f"cannot publish on {endpoint}: {error.strerror}", "Choose another endpoint"
    )
