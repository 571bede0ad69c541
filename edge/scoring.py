"""From cosines to odds: likelihood ratios that know how much speech stands on both sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.errors import EarmarkError

Floats = NDArray[np.float64]
Answer = Literal["yes", "no", "not yet"]

MIN_SECONDS = 0.4  # the least that a calibration is fitted on; below, evidence fades to none
MAX_SECONDS = 30.0  # the most; beyond, a voice is known as well as it will be
LEAST_NORM = 1e-6  # of an embedding: that of nothing at all may be zero


def abundance(first: Floats, second: Floats) -> Floats:
    """How much speech there is on two sides: the logarithm of the harmonic mean of their seconds.

    The harmonic mean, because the scatter of a cosine is the sum of both sides' scatter, and that
    of each falls with its length.
    """
    one, other = (np.minimum(np.maximum(s, MIN_SECONDS), MAX_SECONDS) for s in (first, second))
    x: Floats = np.log(2.0 * one * other / (one + other))
    return x


class Match(NamedTuple):
    """How two sides compare: their cosine, and the sum of their embeddings' log norms.

    An embedding's direction is the voice. The more of it is noise, of any kind, the greater is its
    norm: it is made of the moments of features, and those scatter the more.
    """

    cosines: Floats
    norms: Floats


def match_all(first: Floats, second: Floats) -> Match:
    """Each of the embeddings (n, size) with each of (m, size): arrays (n, m)."""
    (one, one_norm), (other, other_norm) = directions(first), directions(second)
    return Match(one @ other.T, one_norm[:, None] + other_norm[None])


def match_pairs(first: Floats, second: Floats) -> Match:
    """Row by row, embeddings (n, size) with as many: arrays (n,)."""
    (one, one_norm), (other, other_norm) = directions(first), directions(second)
    return Match(np.einsum("ij,ij->i", one, other), one_norm + other_norm)


def directions(embeddings: Floats) -> tuple[Floats, Floats]:
    """Unit vectors (n, size) and log norms (n,) of embeddings (n, size)."""
    norms = np.maximum(np.linalg.norm(embeddings, axis=1), LEAST_NORM)
    return embeddings / norms[:, None], np.log(norms)


@dataclass(frozen=True)
class Calibration:
    """Weights of llr = a + b·x + (c + d·x + e·r)·cosine, fitted on unseen speakers.

    The abundance of speech x moves both the offset and the slope: the more there is, the less the
    cosines scatter, and the greater they are between a speaker and themselves. The embeddings'
    norms tell of noise (see `Match`): r is by how much the sum of their logarithms exceeds u + v·x,
    which is usual for so much speech, and the greater, the less a cosine says.

    Attributes:
        weights: (a, b, c, d, e).
        norms: (u, v, the least r, the greatest r): beyond what was fitted on, r counts as these.
    """

    weights: tuple[float, float, float, float, float]
    norms: tuple[float, float, float, float]

    def __post_init__(self) -> None:
        values = (*self.weights, *self.norms)
        if len(self.weights) != 5 or len(values) != 9 or not all(map(math.isfinite, values)):
            raise EarmarkError(
                f"a calibration has 5 finite weights and 4 of norms, got {values}",
                "Export the model again",
            )

    def llr(self, match: Match, first: Floats, second: Floats) -> Floats:
        """Natural-log likelihood ratios, same speaker against different, of the match's shape.

        Where there is less speech than the fit has seen they shrink with it, to 0 for none at all:
        its regressors would make a few frames of anything look like proof.
        """
        return weighted_llr((*self.weights, *self.norms), match, first, second)

    def rescaled(self, offset: float, slope: float) -> Calibration:
        """The calibration whose llrs are offset + slope x these, where there is speech enough."""
        a, b, c, d, e = (slope * weight for weight in self.weights)
        return Calibration((offset + a, b, c, d, e), self.norms)


def weighted_llr(
    weights: Sequence[float | Floats], match: Match, first: Floats, second: Floats
) -> Floats:
    """`Calibration.llr` with weights and norms (9) that may differ from score to score."""
    a, b, c, d, e, usual, slope, least, most = weights
    x = abundance(first, second)
    share = np.minimum(first / MIN_SECONDS, 1.0) * np.minimum(second / MIN_SECONDS, 1.0)
    noise = np.clip(match.norms - usual - slope * x, least, most)
    ratios: Floats = (a + b * x + (c + d * x + e * noise) * match.cosines) * share
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
