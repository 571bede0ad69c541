"""What systemd wants to know of a service: ready, alive, how it is, and that it stops."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Tells the service manager that `$NOTIFY_SOCKET` names; nobody where there is none.

    Lines that cannot be delivered are dropped: a service does not depend on who watches it.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # an abstract socket
            self._address = "\0" + self._address[1:]
        microseconds = environment.get("WATCHDOG_USEC", "")
        watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        patience = int(microseconds) / 1e6 if watched and microseconds.isdecimal() else 0.0
        self._period = patience / 3
        self._last = 0.0
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    def ready(self) -> None:
        """All sources are open, or will be once somebody listens."""
        self._send("READY=1")

    def alive(self) -> None:
        """The daemon's loop goes on; called as often as it does."""
        now = time.monotonic()
        if self._period and now - self._last >= self._period:
            self._last = now
            self._send("WATCHDOG=1")

    def status(self, line: str) -> None:
        """How it is, for people."""
        self._send(f"STATUS={line}")

    def stopping(self) -> None:
        """It ends."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.sendto(text.encode(), self._address)
