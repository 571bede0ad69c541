"""Questions to a daemon, over a DEALER socket, from who has the keys if it has some."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import zmq

from edge.endpoints import prepare, request_endpoint
from edge.errors import EarmarkError
from edge.keyring import parse_public, read_keyring
from edge.protocol import MAX_REPLY, Refusal, Reply, Request, decode_reply, encode

PATIENCE = 1.0  # seconds for an answer before it is asked for again
CONNECT_PATIENCE = 3.0  # seconds for a daemon to be there at all
COMMAND_PATIENCE = 12.0  # seconds; the daemon gives up after ten
TICK_MS = 100  # within which it is noticed that who asks has given up


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


def command(
    endpoint: str,
    request: Request,
    keys: Keys | None = None,
    given_up: Callable[[], bool] = lambda: False,
) -> Reply:
    """What a daemon answers to one request, which is sent once and not repeated.

    It is waited for until `given_up`, for `COMMAND_PATIENCE` at most where there is a daemon.

    Raises:
        EarmarkError: the endpoint is not one, what is asked cannot be sent, there was no answer, or
            it is a refusal.
    """
    try:
        data = encode(request)
    except UnicodeEncodeError as error:
        raise EarmarkError(
            f"{error.object!r} is no text in UTF-8", "Give a name as 'earmark listen' shows it"
        ) from error
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.immediate = True  # it takes nothing before it is connected
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY)
        prepare(socket, endpoint)
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

        def wait(ready: int, patience: float) -> None:
            deadline = time.monotonic() + patience
            while not socket.poll(TICK_MS, ready):
                if given_up() or time.monotonic() > deadline:
                    raise EarmarkError(
                        f"no daemon answers at {endpoint}",
                        "See whether it runs, allows your key, and has that of --server",
                    )

        wait(zmq.POLLOUT, CONNECT_PATIENCE)
        socket.send(data)
        wait(zmq.POLLIN, COMMAND_PATIENCE)
        try:
            reply = decode_reply(socket.recv())
        except msgspec.DecodeError as error:
            raise EarmarkError(
                f"what answers at {endpoint} is no daemon of this version: {error}"
            ) from error
    if isinstance(reply, Refusal):
        raise EarmarkError(reply.what, reply.remedy)
    return reply


class Requests:
    """Asks, and asks again where no answer comes; one request at a time is under way."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], between: Callable[[], None]
    ) -> None:
        """`between` is called while an answer is waited for, before each time of asking."""
        self.malformed = 0
        self._between = between
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
            self._between()
            if time.monotonic() >= self._overdue:
                with suppress(zmq.Again):  # it is full while nobody is there; one waits already
                    data = encode(msgspec.structs.replace(request, id=self._id))
                    self.socket.send(data, zmq.NOBLOCK)
                self._overdue = time.monotonic() + PATIENCE
            ready = self._poll(earlier(deadline, self._overdue), unless)
            if self.socket in ready:
                reply = self._receive()
                if reply is not None:
                    self._request = None
                    return reply
            elif ready or (deadline is not None and time.monotonic() >= deadline):
                return None

    def close(self) -> None:
        """Ask no more."""
        self.socket.close()

    def _poll(self, until: float, other: zmq.Socket[bytes] | None) -> set[zmq.Socket[bytes]]:
        poller = zmq.Poller()
        for socket in (self.socket, other):
            if socket is not None:
                poller.register(socket, zmq.POLLIN)
        return {socket for socket, _ in poller.poll(milliseconds_until(until))}

    def _receive(self) -> Reply | None:
        """An answer to what is under way, not to what was asked before."""
        frames = self.socket.recv_multipart()
        try:
            reply = decode_reply(frames[0] if len(frames) == 1 else b"")
        except msgspec.DecodeError:
            self.malformed += 1
            return None
        return reply if reply.id == self._id else None


def earlier(deadline: float | None, moment: float) -> float:
    """The earlier of two moments of the monotonic clock, of which the first may be never."""
    return moment if deadline is None else min(deadline, moment)


def milliseconds_until(moment: float) -> int:
    """From now on, as ZeroMQ wants it; 0 for what is past."""
    return max(0, round(1000 * (moment - time.monotonic())))
