"""Odds between recordings: what a cosine says there, by who else is enrolled.

The voices of one place share its microphones and rooms, often a language, and may be kin: there
strangers are more alike than usual, and the more so to speech that is heard by the same microphone.
Whoever is enrolled beside a voice tells by how much: all but one of them are strangers to speech.
This is test normalisation (Auckenthaler, Carey and Lloyd-Thomas, 2000), to which the odds of a
voice that is enrolled alone pass over with each that is beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.errors import EarmarkError
from edge.scoring import Calibration, Floats, Match, weighted_llr

Marks = NDArray[np.bool_]
Names = NDArray[np.str_]
Count = int | NDArray[np.int64]


@dataclass(frozen=True)
class Across:
    """What is known of likeness between recordings, fitted on unseen speakers.

    Attributes:
        alone: odds where nobody else is enrolled.
        among: odds among very many, of cosines less what these tell (see `discount`).
        usual: mean cosine of strangers.
        weight: with so many beside, odds lie half way from `alone` to `among`.
    """

    alone: Calibration
    among: Calibration
    usual: float
    weight: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.usual) or not 0.0 < self.weight < math.inf:
            raise EarmarkError(
                "odds between recordings have a finite usual cosine and a finite weight above 0, "
                f"got {self.usual} and {self.weight}",
                "Export the model again",
            )

    def values(self, others: Count) -> list[float | Floats]:
        """What `weighted_llr` takes, with so many others beside each voice."""
        share = others / (self.weight + others)
        pairs = zip(self.alone.values, self.among.values, strict=True)
        return [(1.0 - share) * alone + share * among for alone, among in pairs]

    def llr(self, match: Match, first: Floats, second: Floats, elsewhere: Marks) -> Floats:
        """Llrs of speech beside voices (..., voices), of `first` and `second` seconds."""
        values = self.values(others_of(elsewhere))
        return weighted_llr(values, self.discount(match, elsewhere), first, second)

    def discount(self, match: Match, elsewhere: Marks) -> Match:
        """Speech beside voices (..., voices): each cosine less what the other voices tell of it.

        `elsewhere` (voices,): those known from other recordings, which count and are counted for.
        """
        known = np.where(elsewhere, match.cosines, 0.0)
        rest = known.sum(axis=-1, keepdims=True) - known
        more = excess(rest, others_of(elsewhere), self.usual, self.weight)
        return match._replace(cosines=match.cosines - elsewhere * more)

    def llr_of_trials(
        self, match: Match, first: Floats, second: Floats, tested: Names, enrolled: Names
    ) -> Floats:
        """Llrs (tests, enrolled) of recordings of the speakers that are named, as if in each trial
        everybody but its two were enrolled beside.
        """
        rest, count = told_by_others(match.cosines, tested, enrolled)
        more = excess(rest, count, self.usual, self.weight)
        match = match._replace(cosines=match.cosines - more)
        return weighted_llr(self.values(count), match, first, second)

    def rescaled(self, alone: tuple[float, float], among: tuple[float, float]) -> Across:
        """With each of the odds offset + slope x these, where there is speech enough."""
        return replace(self, alone=self.alone.rescaled(*alone), among=self.among.rescaled(*among))


def excess(cosines: Floats, count: Count, usual: float, weight: float) -> Floats:
    """By how much strangers are more alike than usual, by the sum of `count` of their cosines."""
    more: Floats = (cosines - count * usual) / (weight + count)
    return more


def told_by_others(
    cosines: Floats, tested: Names, enrolled: Names
) -> tuple[Floats, NDArray[np.int64]]:
    """Of each trial (tests, enrolled), what everybody but its two tells: the sum of their cosines
    with the tested, each by the mean of all their recordings, and how many they are.
    """
    names, owner, counts = np.unique(enrolled, return_inverse=True, return_counts=True)
    means = cosines @ (owner[:, None] == np.arange(len(names))) / counts
    others = tested[:, None] != names[None]
    means = np.where(others, means, 0.0)
    rest = means.sum(axis=1, keepdims=True) - means[:, owner]
    return rest, others.sum(axis=1, keepdims=True) - others[:, owner]


def others_of(elsewhere: Marks) -> int:
    """How many of the voices known from other recordings are beside each of them."""
    return max(0, int(np.count_nonzero(elsewhere)) - 1)
