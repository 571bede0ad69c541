"""From cosines to odds: likelihood ratios that know how much speech stands on both sides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import EarmarkError

Floats = NDArray[np.float64]
Answer = Literal["yes", "no", "not yet"]

MIN_SECONDS = 0.4  # the least that the calibration is fitted on; below, evidence fades to none


def scarcity(first: Floats, second: Floats) -> Floats:
    """How little speech there is on two sides, from seconds: q = log(1 + 1/first + 1/second)."""
    q: Floats = np.log1p(
        1.0 / np.maximum(first, MIN_SECONDS) + 1.0 / np.maximum(second, MIN_SECONDS)
    )
    return q


@dataclass(frozen=True)
class Calibration:
    """Weights (a, b, c, d) of llr = a + b·q + (c + d·q)·cosine, fitted on unseen speakers.

    The scarcity of speech q moves both the offset and the slope: a short test scatters more, and
    its cosine with its own speaker is smaller.
    """

    weights: tuple[float, float, float, float]

    def __post_init__(self) -> None:
        if len(self.weights) != 4 or not all(map(math.isfinite, self.weights)):
            raise EarmarkError(
                f"a calibration has 4 finite weights, got {self.weights}", "Export the model again"
            )

    def llr(self, cosines: Floats, first: Floats, second: Floats) -> Floats:
        """Natural-log likelihood ratios, same speaker against different, of the same shape.

        Where there is less speech than the fit has seen they shrink with it, to 0 for none at all:
        its regressors would make a few frames of anything look like proof.
        """
        a, b, c, d = self.weights
        q = scarcity(first, second)
        share = np.minimum(first / MIN_SECONDS, 1.0) * np.minimum(second / MIN_SECONDS, 1.0)
        ratios: Floats = (a + b * q + (c + d * q) * cosines) * share
        return ratios


@dataclass(frozen=True)
class OperatingPoint:
    """The error rates that an answer is asked to keep, by Wald's sequential test (1945)."""

    false_accept: float = 0.01
    miss: float = 0.01

    def __post_init__(self) -> None:
        for name in ("false_accept", "miss"):
            rate = getattr(self, name)
            if not 0.0 < rate < 0.5:
                raise EarmarkError(f"{name} must lie between 0 and 0.5, got {rate}", "Choose 0.01")

    def answer(self, llr: float) -> Answer:
        """`yes`, `no`, or `not yet` where the odds suffice for neither."""
        if llr >= math.log((1.0 - self.miss) / self.false_accept):
            return "yes"
        if llr <= math.log(self.miss / (1.0 - self.false_accept)):
            return "no"
        return "not yet"
