"""Commands on their way from the service's thread to the daemon's, and what came of them back."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress

from edge.errors import EarmarkError
from edge.protocol import Command, Done, Enrolled, Refusal

PATIENCE = 10.0  # seconds for the daemon to come to a command
WAITING = 8  # commands at a time
PER_MINUTE = 60

Outcome = Done | Enrolled


class CommandQueue:
    """Brings commands from one thread to another, and the outcome back."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[Command, Future[Outcome]]] = queue.Queue(WAITING)
        self._times: deque[float] = deque(maxlen=PER_MINUTE)
        self._closed = False

    def submit(self, command: Command) -> Outcome | Refusal:
        """Have a command carried out, and wait for that; once it is closed, without waiting."""
        now = time.monotonic()
        if len(self._times) == PER_MINUTE and now - self._times[0] < 60:
            return Refusal(
                id=command.id,
                what=f"more than {PER_MINUTE} commands came in a minute",
                remedy="Wait a little",
            )
        self._times.append(now)
        outcome: Future[Outcome] = Future()
        try:
            self._waiting.put_nowait((command, outcome))
            if self._closed:
                self.close()
            return outcome.result(PATIENCE)
        except EarmarkError as error:
            return Refusal(id=command.id, what=error.what, remedy=error.remedy)
        except CancelledError:
            return Refusal(
                id=command.id,
                what="the daemon ends; nothing was done",
                remedy="Give the command to the next one",
            )
        except (queue.Full, TimeoutError):
            if outcome.cancel():  # should it come to it later, it does nothing
                what = f"did not come to it within {PATIENCE:g} s; nothing was done"
            else:
                what = f"is still at it after {PATIENCE:g} s; whether it was done, its log tells"
            return Refusal(
                id=command.id,
                what=f"the daemon {what}",
                remedy="See 'earmark control status'",
            )

    def close(self) -> None:
        """Carry out nothing more: who waits, or comes later, is told."""
        self._closed = True
        with suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()[1].cancel()

    def carry_out(self, handle: Callable[[Command], Outcome]) -> None:
        """Carry out what waits; `handle` returns the answer.

        What it raises as an `EarmarkError` is told to who gave the command.
        """
        while True:
            try:
                command, outcome = self._waiting.get_nowait()
            except queue.Empty:
                return
            if outcome.set_running_or_notify_cancel():
                try:
                    outcome.set_result(handle(command))
                except EarmarkError as error:
                    outcome.set_exception(error)
