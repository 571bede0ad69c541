"""Additive statistics: what the encoder says of a stretch of audio, in constant memory.

A record is the vector S = (n, Σw, Σw·h, Σw·h², Σp) of one tenth of a second. Records add: the
embedding of any stretch is `head(sum of its records)`, a speaker's profile is the sum of
all that they ever said, and moving a stretch between speakers is a subtraction. Sums are kept in
float64, so that months of additions stay exact to float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Sums = NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    """An enrolled speaker: a name and the statistics (1 + 3 * features,) of their speech."""

    name: str
    statistics: Sums
