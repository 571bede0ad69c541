"""The one clock that audio is held against."""

from __future__ import annotations

import time


def now() -> float:
    """Seconds since the machine started, those that it slept included; never set back.

    Alike in every process, so that a time taken in one may be compared in another.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)
