"""Additive statistics: what the encoder says of a stretch of audio, in constant memory.

A record is the vector S = (n, Σw, Σw·h, Σw·h², Σp) of one tenth of a second. Records add: the
embedding of any stretch is `head(sum of its records)`, a speaker's profile is the sum of
all that they ever said, and moving a stretch between speakers is a subtraction. Sums are kept in
float64, so that months of additions stay exact to float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Sums = NDArray[np.float64]

TOKEN = 2  # records that are told apart from others as one: they come from one run of the encoder
AROUND = (1, 3, 8)  # records on both sides of a token that are summed up with it


@dataclass(frozen=True)
class Profile:
    """An enrolled speaker: a name and the statistics (size,) of their speech."""

    name: str
    statistics: Sums


class Grown(NamedTuple):
    """A profile as it is now; `again` if some of what came was in it, and did not count twice."""

    profile: Profile
    again: bool


def surroundings(totals: Sums) -> Sums:
    """Statistics of what is around each token of a segment, in the three widths of `AROUND`.

    Args:
        totals: from the beginning of the segment to each of its records (records, size).

    Returns:
        (widths, tokens, size), of records / TOKEN tokens. At both ends less is around.
    """
    first = np.arange(0, len(totals) - TOKEN + 1, TOKEN)
    count = TOKEN * len(first)
    sums = np.concatenate([np.zeros_like(totals[:1]), totals[:count]])
    return np.stack(
        [
            sums[np.minimum(first + TOKEN + wide, count)] - sums[np.maximum(first - wide, 0)]
            for wide in AROUND
        ]
    )
