"""A microphone as a source: a capture process that is watched, killed and begun anew."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from edge.errors import EarmarkError
from edge.sources import Block, Source
from edge.sources.capture import Absent, Captured, CaptureRequest, Failed, Message, Opened
from edge.sources.capture_process import CaptureProcess
from edge.sources.sample_clock import SampleClock

_TICK = 0.1  # s within which a close is noticed
_OPEN_PATIENCE = 10.0  # s for a device to open; a loaded Raspberry Pi needs some
_PATIENCE = 2.0  # s for the next block; capture itself tells a frozen device sooner
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 2.0  # s before a device that opens but says nothing is retried
_RESTART = "Restart the sound server, or unplug the microphone and plug it in again"


class MicrophoneSource(Source):
    """A microphone, which may go and come back.

    It is captured by a process of its own; see `edge.sources.capture`.

    Args:
        device: index, name, unique part of a name or pattern; None for the system's default.

    Raises:
        EarmarkError: PortAudio or the device is missing, or the device refuses to be opened.
    """

    def __init__(self, device: str | int | None = None) -> None:
        self._closed = False
        self._pause = 0.0
        self._process = CaptureProcess(CaptureRequest(device, wait=False))
        try:
            self._open()
        except BaseException:
            self._process.kill()
            raise
        self._clock = SampleClock(self.rate)
        # When it comes back, its index may be another's.
        self._device = None if device is None else self.name

    @property
    def drift(self) -> float | None:
        """Of the device's clock, ppm; positive where it runs fast; None while unknown."""
        return self._clock.drift

    def blocks(self) -> Iterator[Block]:
        """What it hears, in blocks of at most 100 ms; what is missing by the clock is their `gap`.

        Raises:
            EarmarkError: the device went, or froze; `reopen` waits for it.
        """
        try:
            while (message := self._next(_PATIENCE)) is not None:
                if not isinstance(message, Captured):
                    raise self._unexpected(message)
                self._pause = 0.0
                samples = np.frombuffer(message.samples, np.float32)
                gap = self._clock.hear(len(samples), message.lost, message.at)
                yield Block(samples, message.lost, gap, message.at)
        finally:
            self._process.kill()

    def reopen(self) -> bool:
        """Wait until the device is back: True; False when closed meanwhile."""
        due = self._clock.due
        while not self._closed:
            self._sleep(self._pause)
            self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LONGEST_PAUSE)
            try:
                self._process = CaptureProcess(CaptureRequest(self._device, wait=True))
                if self._open():
                    self._clock = SampleClock(self.rate, due)
                    return True
            except EarmarkError:  # frozen still, or gone between two looks
                pass
            self._process.kill()
        return False

    def close(self) -> None:
        """End `blocks()` and `reopen()`."""
        self._closed = True

    def __exit__(self, *exception: object) -> None:
        self.close()
        self._process.kill()

    def _open(self) -> bool:
        """Wait until the process has opened the device; False when closed meanwhile."""
        while (message := self._next(_OPEN_PATIENCE)) is not None:
            if isinstance(message, Opened):
                self.name, self.rate, self.channels = message.name, message.rate, message.channels
                return True
            if not isinstance(message, Absent):
                raise self._unexpected(message)
        return False

    def _next(self, patience: float) -> Message | None:
        """The process's next message; None when closed.

        Raises:
            EarmarkError: it ended, or says nothing for so many seconds.
        """
        # Ticks, not the clock: it would also count the time that this process was suspended.
        for _ in range(round(patience / _TICK)):
            if self._closed:
                return None
            message = self._process.receive(_TICK)
            if message is not None:
                return message
        raise EarmarkError(f"the sound system did not answer for {patience:g} s", _RESTART)

    def _unexpected(self, message: Message) -> EarmarkError:
        if isinstance(message, Failed):
            return EarmarkError(message.what, message.remedy)
        return EarmarkError(f"the capture process sent {type(message).__name__}", "Report this")

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._closed and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _TICK))
