"""Answers what subscribers ask, over a ROUTER socket, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
import zmq

from edge.protocol import MAX_REQUEST, Reply, Request, decode_request, encode

REPLIES_WAITING = 8  # of one peer that does not read; later ones are dropped, and it asks again
MAX_FRAME = 1 << 16  # beyond it, libzmq itself closes the connection


class Service:
    """Serves requests one after the other until it is closed.

    A request is one frame of JSON; the empty frame that REQ sockets put before it comes back too.
    What is no request is counted and dropped, without an answer.

    Attributes:
        malformed: messages that were dropped.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], answer: Callable[[Request], Reply]
    ) -> None:
        self.malformed = 0
        self._answer = answer
        self._socket = context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, REPLIES_WAITING)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME)
        self._wake, self._woken = (context.socket(zmq.PAIR) for _ in range(2))
        self._woken.bind(f"inproc://{id(self)}")
        self._wake.connect(f"inproc://{id(self)}")
        self._thread = threading.Thread(target=self._serve, name="earmark-service", daemon=True)

    def bind(self, endpoint: str) -> None:
        """Take requests at `endpoint`, once it has started.

        Raises:
            zmq.ZMQError: it cannot be bound.
        """
        self._socket.setsockopt(zmq.IPV6, int("[" in endpoint))
        self._socket.bind(endpoint)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """End the thread and free the endpoint."""
        if self._thread.is_alive():
            self._wake.send(b"")
            self._thread.join()
        for socket in (self._socket, self._wake, self._woken):
            socket.close(0)

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._woken, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._woken in ready:
                return
            self._serve_one(self._socket.recv_multipart())

    def _serve_one(self, frames: list[bytes]) -> None:
        address, body = frames[:-1], frames[-1]
        if len(address) not in (1, 2) or any(address[1:]) or len(body) > MAX_REQUEST:
            self.malformed += 1
            return
        try:
            request = decode_request(body)
        except msgspec.DecodeError:
            self.malformed += 1
            return
        self._socket.send_multipart([*address, encode(self._answer(request))])
