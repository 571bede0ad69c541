"""From cosines to odds: likelihood ratios that know how much speech and noise is on both sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.errors import EarmarkError

Floats = NDArray[np.float64]
Answer = Literal["yes", "no", "not yet"]

MIN_SECONDS = 0.4  # the least that a calibration is fitted on; below, evidence fades to none
MAX_SECONDS = 30.0  # the most
HIGHEST_COSINE = 0.95  # what is more alike than this is as surely one voice
FIRST_LOOK = 1.0  # seconds of speech before which no look at growing speech gives an answer
# On held-out speakers of one corpus, looking every tenth of a second let 1.6 to 4 times as many
# strangers pass as looking once, after a second as after ten.
LOOKS = 3
LEAST_NORM = 1e-6  # of an embedding: that of nothing at all may be zero


def abundance(first: Floats, second: Floats, longest: float | Floats = MAX_SECONDS) -> Floats:
    """How much speech there is on two sides: the logarithm of the harmonic mean of their seconds.

    The harmonic mean, because the scatter of a cosine is the sum of both sides' scatter, and that
    of each falls with its length. Of a side at most `longest` seconds count.
    """
    one, other = (np.minimum(np.maximum(s, MIN_SECONDS), longest) for s in (first, second))
    x: Floats = np.log(2.0 * one * other / (one + other))
    return x


class Match(NamedTuple):
    """How two sides compare: their cosine, and the sum of their embeddings' log norms.

    An embedding's direction is the voice. The more of it is noise, of any kind, the greater is its
    norm: it is made of the moments of features, and those scatter the more.
    """

    cosines: Floats
    norms: Floats


class Directions(NamedTuple):
    """Embeddings (n, size) as they are compared: unit vectors (n, size), and log norms (n,)."""

    units: Floats
    norms: Floats


def directions(embeddings: Floats) -> Directions:
    """The directions of embeddings (n, size)."""
    norms = np.maximum(np.linalg.norm(embeddings, axis=1), LEAST_NORM)
    return Directions(embeddings / norms[:, None], np.log(norms))


def match_all(first: Directions, second: Directions) -> Match:
    """Each of n with each of m: arrays (n, m)."""
    return Match(first.units @ second.units.T, first.norms[:, None] + second.norms[None])


def match_pairs(first: Directions, second: Directions) -> Match:
    """Row by row, n with as many: arrays (n,)."""
    return Match(np.einsum("ij,ij->i", first.units, second.units), first.norms + second.norms)


@dataclass(frozen=True)
class Calibration:
    """Weights of llr = a + b·x + (c + d·x + e·r)·likeness, fitted on unseen speakers.

    The abundance of speech x moves the offset and the slope: the more there is, the more a speaker
    is like themselves, and the less that scatters. Between recordings the likeness is the cosine.
    Within one, that of a voice with itself nears 1, where it scatters less, and the likeness is its
    inverse hyperbolic tangent z, which scatters alike everywhere, like that of a correlation
    (Fisher, 1915). The embeddings' norms tell of noise (see `Match`): r is by how much the sum of
    their logarithms exceeds u + v·x, which is usual for so much speech, and the greater, the less a
    likeness says.

    Attributes:
        weights: (a, b, c, d, e).
        norms: (u, v, the least r, the greatest r): beyond what was fitted on, r counts as these.
        longest: seconds of a side beyond which a voice is known as well as it will be.
        bend: how much of the way from the cosine (0) to its z (1) the likeness is.
    """

    weights: tuple[float, float, float, float, float]
    norms: tuple[float, float, float, float]
    longest: float
    bend: float

    def __post_init__(self) -> None:
        lengths = len(self.weights), len(self.norms)
        possible = lengths == (5, 4) and all(map(math.isfinite, self.values))
        if not possible or self.longest < MIN_SECONDS or not 0.0 <= self.bend <= 1.0:
            raise EarmarkError(
                "a calibration has 5 finite weights, 4 of norms, at least "
                f"{MIN_SECONDS:g} s and a bend from 0 to 1, got {self.values}",
                "Export the model again",
            )

    @property
    def values(self) -> tuple[float, ...]:
        """All eleven, as `weighted_llr` takes them."""
        return (*self.weights, *self.norms, self.longest, self.bend)

    def llr(self, match: Match, first: Floats, second: Floats) -> Floats:
        """Natural-log likelihood ratios, same speaker against different, of the match's shape.

        Where there is less speech than the fit has seen they shrink with it, to 0 for none at all:
        its regressors would make a few frames of anything look like proof.
        """
        return weighted_llr(self.values, match, first, second)

    def rescaled(self, offset: float, slope: float) -> Calibration:
        """The calibration whose llrs are offset + slope x these, where there is speech enough."""
        a, b, c, d, e = (slope * weight for weight in self.weights)
        return replace(self, weights=(offset + a, b, c, d, e))


def weighted_llr(
    weights: Sequence[float | Floats], match: Match, first: Floats, second: Floats
) -> Floats:
    """`Calibration.llr` with values that may differ from score to score."""
    a, b, c, d, e, usual, slope, least, most, longest, bend = weights
    x = abundance(first, second, longest)
    share = np.minimum(first / MIN_SECONDS, 1.0) * np.minimum(second / MIN_SECONDS, 1.0)
    noise = np.clip(match.norms - usual - slope * x, least, most)
    alike = likeness(match.cosines, bend)
    ratios: Floats = (a + b * x + (c + d * x + e * noise) * alike) * share
    return ratios


def likeness(cosines: Floats, bend: float | Floats) -> Floats:
    """What llrs are linear in: see `Calibration`."""
    if not np.any(bend):  # between recordings alone, maybe with everybody enrolled
        return cosines
    z = np.arctanh(np.clip(cosines, -HIGHEST_COSINE, HIGHEST_COSINE))
    alike: Floats = cosines + bend * (z - cosines)
    return alike


@dataclass(frozen=True)
class OperatingPoint:
    """The error rates that an answer is asked to keep.

    The llrs of strangers, if they are right and scatter as a normal does, have the mean -m and the
    variance 2m, those of a speaker m and 2m; m grows with the speech (van Leeuwen and Brümmer,
    2013). The share of strangers that is asked exceeds -m + z·sqrt(2m), z being the normal's
    quantile of it. Whatever m is, that is z²/2 at most: from there on a yes keeps the rate, and a
    no likewise. The bounds of Wald's test (1945), which hold however llrs scatter, are nearly twice
    as far apart: at 1 % asked 0.02 to 0.1 % of strangers passed, and many speakers had no answer.
    """

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
        return _farthest(self.false_accept)

    @property
    def refuse_llr(self) -> float:
        """The greatest llr of a no."""
        return -_farthest(self.miss)

    def answer(self, llr: float) -> Answer:
        """`yes`, `no`, or `not yet` where the odds suffice for neither."""
        if llr >= self.accept_llr:
            return "yes"
        if llr <= self.refuse_llr:
            return "no"
        return "not yet"

    def answer_among(self, enrolled: int, llr: float, margin: float | None) -> Answer:
        """Whether speech is that of the likeliest of so many, by its llr; it may be nobody's.

        The rate of false accepts is that of a stranger being taken for anybody at all, so the more
        are enrolled, the more it takes to be recognised. A speaker who is enrolled is no stranger:
        who is not ahead of the next one, by a margin that the rates ask of two hypotheses, is `not
        yet` recognised.
        """
        answer = replace(self, false_accept=self.false_accept / enrolled).answer(llr)
        if answer == "yes" and margin is not None and self.answer(margin) != "yes":
            return "not yet"
        return answer

    @property
    def each_look(self) -> OperatingPoint:
        """What each of many looks at growing speech keeps, so that all of them keep this."""
        return OperatingPoint(self.false_accept / LOOKS, self.miss / LOOKS)


def _farthest(rate: float) -> float:
    """The llr that a share of at most `rate` of the others exceeds (see `OperatingPoint`)."""
    return NormalDist().inv_cdf(rate) ** 2 / 2.0
