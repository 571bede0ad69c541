"""A device's samples held against the clock: what is missing, and how fast the device runs."""

from __future__ import annotations

_WINDOW = 5.0  # s of audio of which at least one block came without having waited anywhere
_LEAST_GAP = 0.1  # s by which such blocks are late once audio was lost without a word
_DRIFT_AFTER = 60.0  # s from which on the drift is known to some ten ppm


class SampleClock:
    """One opening of a device. Pure: times are arguments, in seconds of any one clock.

    A block may come late because somebody was busy, never early. So the least delay within a window
    is what tells: where it creeps, the device's clock is another; where it jumps, audio was lost.

    Args:
        rate: of the device, Hz.
        due: when the first sample should have come, where earlier audio broke off.
    """

    def __init__(self, rate: int, due: float | None = None) -> None:
        self._rate = rate
        self._due = due
        self._origin: float | None = None  # when the first sample began
        self._position = 0  # samples since then, those lost included
        self._usual: float | None = None  # least delay of the window before
        self._least = float("inf")  # of this window
        self._in_window = 0  # samples
        self._first: tuple[float, float] | None = None  # end and least delay of the first window
        self.drift: float | None = None  # ppm; positive where the device runs fast

    @property
    def due(self) -> float | None:
        """When the next sample should come; None before anything came or was due."""
        if self._origin is None:
            return self._due
        usual = min(self._least, self._usual if self._usual is not None else self._least)
        return self._origin + self._position / self._rate + usual

    def hear(self, count: int, lost: int, at: float) -> int:
        """Take note of samples that have come.

        Args:
            count: samples of this block, 1 or more.
            lost: samples known to be lost before them.
            at: when the last of them came.

        Returns:
            Samples that are missing before this block besides those known to be lost.
        """
        gap = 0
        if self._origin is None:
            self._origin = at - (count + lost) / self._rate
            if self._due is not None:
                # Time has passed, however little of it the jitter of arrivals leaves.
                gap = max(1, round((self._origin - self._due) * self._rate))
                self._origin -= gap / self._rate
        self._position += gap + lost + count
        delay = at - self._origin - self._position / self._rate
        self._least = min(self._least, delay)
        self._in_window += count
        if self._in_window >= _WINDOW * self._rate:
            gap += self._close_window(at)
        return gap

    def _close_window(self, at: float) -> int:
        gap = 0
        least, self._least = self._least, float("inf")
        if self._usual is not None and least - self._usual > _LEAST_GAP:
            gap = round((least - self._usual) * self._rate)
            self._position += gap
            least -= gap / self._rate
        self._usual = least
        self._in_window = 0
        if self._first is None:
            self._first = (at, least)
        elif at - self._first[0] >= _DRIFT_AFTER:
            self.drift = 1e6 * (self._first[1] - least) / (at - self._first[0])
        return gap
