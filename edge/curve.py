"""CURVE on ZeroMQ sockets: who may connect is read anew whenever the file of keys changes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils import z85

from edge import log
from edge.errors import EarmarkError
from edge.keyring import Client, Keyring, read_keyring

DOMAIN = "earmark"


class Guard:
    """Lets in, to the sockets of a context, only clients whose keys are allowed.

    While the file of keys cannot be used, nobody is.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        path: Path,
        may: Callable[[Client], bool] = lambda client: True,
    ) -> None:
        """Begin to watch over the sockets that `protect` is given.

        Args:
            context: of the sockets.
            path: the file of keys.
            may: which of the clients in it may connect.

        Raises:
            EarmarkError: there are no keys in the file, or others may read it.
        """
        self.refused = 0  # connections
        self._path = path
        self._may = may
        # Set at once, as several threads read it; a stamp of None: the file cannot be used.
        self._read: tuple[tuple[int, ...] | None, Keyring] = _stamp(path), read_keyring(path)
        self._secret = bytes.fromhex(self._read[1].secret)
        self._authenticator = ThreadAuthenticator(context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(DOMAIN, self)

    @property
    def keyring(self) -> Keyring:
        """Who may connect, as the file says now."""
        stamp: tuple[int, ...] | None = _stamp(self._path)
        before, keyring = self._read
        if stamp != before:
            try:
                keyring = read_keyring(self._path)
            except EarmarkError as error:
                if before is not None:  # it is told once
                    log.error("keys.unusable", f"nobody is let in any more: {error}")
                stamp = None  # the machine may have lacked files: it is read again
                keyring = Keyring(keyring.public, keyring.secret)
            self._read = stamp, keyring
        return keyring

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether a client of this key, in Z85, may connect; asked by the authenticator."""
        public = z85.decode(key).hex()
        client = self.keyring.client(public)
        allowed = client is not None and self._may(client)
        if not allowed:
            self.refused += 1
            log.warning("client.refused", f"a client with the key {public} was refused", key=public)
        return allowed

    def protect(self, socket: zmq.Socket[bytes]) -> None:
        """Make a socket speak CURVE alone, as a server; before it is bound."""
        socket.curve_server = True
        socket.curve_secretkey = self._secret
        socket.setsockopt_string(zmq.ZAP_DOMAIN, DOMAIN)
        # Were there no authenticator, libzmq would let everybody in.
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def key_of(self, frame: zmq.Frame) -> str:
        """The public key of the client that sent a frame to a protected socket."""
        return z85.decode(str(frame.get("User-Id")).encode()).hex()

    def close(self) -> None:
        """Stop watching; the sockets are closed before."""
        self._authenticator.stop()


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes with a file."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode
