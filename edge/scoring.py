"""From cosines to odds: likelihood ratios that know how much speech stands on both sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import EarmarkError

Floats = NDArray[np.float64]
Answer = Literal["yes", "no", "not yet"]

MIN_SECONDS = 0.4  # the least that a calibration is fitted on; below, evidence fades to none
MAX_SECONDS = 30.0  # the most; beyond, a voice is known as well as it will be


def abundance(first: Floats, second: Floats) -> Floats:
    """How much speech there is on two sides: the logarithm of the harmonic mean of their seconds.

    The harmonic mean, because the scatter of a cosine is the sum of both sides' scatter, and that
    of each falls with its length.
    """
    one, other = (np.minimum(np.maximum(s, MIN_SECONDS), MAX_SECONDS) for s in (first, second))
    x: Floats = np.log(2.0 * one * other / (one + other))
    return x


@dataclass(frozen=True)
class Calibration:
    """Weights (a, b, c, d) of llr = a + b·x + (c + d·x)·cosine, fitted on unseen speakers.

    The abundance of speech x moves both the offset and the slope: the more there is, the less the
    cosines scatter, and the greater they are between a speaker and themselves.
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
        return weighted_llr(self.weights, cosines, first, second)

    def rescaled(self, offset: float, slope: float) -> Calibration:
        """The calibration whose llrs are offset + slope x these, where there is speech enough."""
        a, b, c, d = (slope * weight for weight in self.weights)
        return Calibration((offset + a, b, c, d))


def weighted_llr(
    weights: Sequence[float | Floats], cosines: Floats, first: Floats, second: Floats
) -> Floats:
    """`Calibration.llr` with four weights that may differ from score to score."""
    a, b, c, d = weights
    x = abundance(first, second)
    share = np.minimum(first / MIN_SECONDS, 1.0) * np.minimum(second / MIN_SECONDS, 1.0)
    ratios: Floats = (a + b * x + (c + d * x) * cosines) * share
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

    @property
    def accept_llr(self) -> float:
        """The least llr of a yes."""
        return math.log((1.0 - self.miss) / self.false_accept)

    @property
    def refuse_llr(self) -> float:
        """The greatest llr of a no."""
        return math.log(self.miss / (1.0 - self.false_accept))

    def answer(self, llr: float) -> Answer:
        """`yes`, `no`, or `not yet` where the odds suffice for neither."""
        if llr >= self.accept_llr:
            return "yes"
        if llr <= self.refuse_llr:
            return "no"
        return "not yet"
