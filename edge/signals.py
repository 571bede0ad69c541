"""What SIGINT, SIGTERM and SIGHUP ask of a long-running command."""

from __future__ import annotations

import os
import signal
from types import FrameType


class _Wish:
    """A plain attribute, because signal handlers set it: a `threading.Event` holds a lock that the
    interrupted code may hold already.
    """

    asked = False

    def ask(self) -> None:
        """Ask for it."""
        self.asked = True


class Stop(_Wish):
    """Whether the daemon was asked to end."""


class Reload(_Wish):
    """Whether the daemon was asked to read everything anew; who does so sets it back before."""


def stop_on_signals() -> Stop:
    """What SIGINT and SIGTERM ask for from now on; a second SIGINT interrupts at once."""
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.asked = True

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)
    return stop


def reload_on_hangup(stop: Stop) -> Reload:
    """What SIGHUP asks for from now on; the closing of the daemon's own terminal still ends it."""
    reload = Reload()
    terminals = [number for number in range(3) if os.isatty(number)]

    def handle(number: int, frame: FrameType | None) -> None:
        if terminals and not any(map(os.isatty, terminals)):
            stop.ask()
        else:
            reload.ask()

    signal.signal(signal.SIGHUP, handle)
    return reload
