"""Answers what subscribers ask, over a ROUTER socket, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import zmq

from edge import log
from edge.endpoints import prepare
from edge.protocol import MAX_REQUEST, Reply, Request, answer_to, decode_request, refusal_of

if TYPE_CHECKING:
    from edge.curve import Guard

REPLIES_WAITING = 8  # of one peer that does not read; later ones are dropped, and it asks again
WATCH_MS = 200  # within which a revoked key has no effect any more
REQUESTS_WAITING = 16  # of one peer; later ones wait where it is
MAX_FRAME = 2 * MAX_REQUEST  # bytes; beyond it, libzmq itself closes the connection


class Service:
    """Serves requests one after the other until it is closed.

    A request is one frame of JSON or MessagePack, and so is its answer; the empty frame that REQ
    sockets put before it comes back too. What is no request is counted, and refused where it can be
    told which it was: else dropped.

    Attributes:
        malformed: messages that were no requests.
        requests: that were answered.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        answer: Callable[[Request, bool], Reply],
        guard: Guard | None = None,
        on_revoked: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare to serve.

        Args:
            context: of the sockets.
            answer: gives the reply to a request, in the service's thread; it is told whether the
                peer has a key with the right to command.
            guard: who may ask; None where everybody may who can connect.
            on_revoked: called, in the service's thread, when somebody may no longer.
        """
        self.malformed = 0
        self.requests = 0
        self._answer = answer
        self._guard = guard
        self._on_revoked = on_revoked
        self._allowed: dict[str, bool] = {}  # keys, and whether they may command
        self._to_cut = False  # whether somebody was revoked who may be connected still
        self._socket = context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, REPLIES_WAITING)
        self._socket.setsockopt(zmq.RCVHWM, REQUESTS_WAITING)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME)
        if guard is not None:
            guard.protect(self._socket)
        self._wake, self._woken = (context.socket(zmq.PAIR) for _ in range(2))
        self._woken.bind(f"inproc://{id(self)}")
        self._wake.connect(f"inproc://{id(self)}")
        self._thread = threading.Thread(target=self._serve, name="earmark-service", daemon=True)

    def bind(self, endpoint: str) -> None:
        """Take requests at `endpoint`, once it has started.

        Raises:
            zmq.ZMQError: it cannot be bound.
        """
        prepare(self._socket, endpoint)
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
            ready = dict(poller.poll(None if self._guard is None else WATCH_MS))
            if self._woken in ready:
                return
            self._watch()
            if self._socket in ready:
                try:
                    self._serve_one(self._socket.recv_multipart(copy=False))
                except Exception as error:  # who gets no answer asks again
                    what = f"a request could not be answered: {type(error).__name__}: {error}"
                    log.error("request.failed", what)

    def _watch(self) -> None:
        """See whether somebody who was allowed is so no longer."""
        if self._guard is None:
            return
        allowed = {client.public: client.commands for client in self._guard.keyring.clients}
        self._to_cut |= bool(self._allowed.keys() - allowed.keys())
        self._allowed = allowed
        if self._to_cut:
            try:
                self._on_revoked()
            except zmq.ZMQError as error:  # tried again at the next look
                what = f"all subscribers are cut off, and cannot come back yet: {error.strerror}"
                log.error("revocation.failed", what)
            else:
                self._to_cut = False

    def _serve_one(self, received: list[zmq.Frame]) -> None:
        # A connection outlives the right to it: each request is looked at.
        key = self._guard.key_of(received[-1]) if self._guard else ""
        if self._guard and key not in self._allowed:
            log.warning(
                "client.refused", f"a request of the revoked key {key} was dropped", key=key
            )
            return
        frames = [frame.bytes for frame in received]
        address, body = frames[:-1], frames[-1]
        if len(address) not in (1, 2) or any(address[1:]):
            self._note_malformed()
            return
        reply = self._reply(body, self._allowed.get(key, False))
        if reply is not None:
            self._socket.send_multipart([*address, answer_to(body, reply)])

    def _reply(self, body: bytes, may_command: bool) -> Reply | None:
        try:
            request = decode_request(body)
        except msgspec.DecodeError as error:
            self._note_malformed()
            return refusal_of(body, error)
        self.requests += 1
        return self._answer(request, may_command)

    def _note_malformed(self) -> None:
        self.malformed += 1
        log.warning("request.malformed", "what came was no request")
