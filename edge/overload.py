"""What a stream leaves undone when the machine cannot keep up, and when it takes it up again."""

from __future__ import annotations

_STEPS = (1.0, 2.0)  # s of lag from which a level begins
_CALM = 0.5  # s of lag below which the machine keeps up
_HOLD = 10.0  # s of calm before the level falls by one


class Ladder:
    """The level of shedding, from the lag of a live stream. Pure: times are arguments.

    0: nothing is left undone. 1: segments are clustered anew less often. 2: besides, segments are
    first labelled when they end. Lag that grows beyond ends at the capture's ring of five seconds,
    which drops the oldest audio and tells how much.
    """

    def __init__(self) -> None:
        self.level = 0
        self._calm_since: float | None = None

    def note(self, lag: float, at: float) -> int:
        """The level from now on, after a block whose events came `lag` seconds after its audio."""
        wanted = sum(lag >= step for step in _STEPS)
        if wanted >= self.level or lag >= _CALM:
            self.level = max(self.level, wanted)
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = at
        elif at - self._calm_since >= _HOLD:
            self.level -= 1
            self._calm_since = at
        return self.level
