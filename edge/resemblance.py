"""How much the voices of a recording resemble each other, whoever they belong to.

Strangers in one recording share its room and line, and often their sex and accent: their cosines
lie not around nothing, but around a resemblance, which differs from recording to recording. What is
one voice in one of them is two of a kind in another. So odds within a recording know it. It is
estimated from all that was heard there without knowing who is who: cosines are a mixture of two
normal distributions, of which the strangers' moves with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from edge.errors import EarmarkError
from edge.scoring import Calibration, Floats, abundance

SAME = {0.2: 0.95, 0.999: 0.05}  # share of pairs of one voice, and how probable it is: few, or all
MOST = 32  # stretches that are compared: those of most speech
GRID = np.linspace(-0.1, 0.7, 33)  # resemblances that are looked at


@dataclass(frozen=True)
class Resemblance:
    """What is known of cosines within recordings, fitted on unseen speakers.

    x is the abundance of speech on both sides (see `edge.scoring.abundance`).

    Attributes:
        usual: mean and deviation of the resemblance over recordings.
        strangers: (u, v, deviation): cosines of strangers lie around (u + v·x) times the
            resemblance.
        same: (u, v, deviation): those of one voice lie around u + v·x.
        shift: (u, v): where it is higher than usual by d, llrs are by (u + v·x)·d.
    """

    usual: tuple[float, float]
    strangers: tuple[float, float, float]
    same: tuple[float, float, float]
    shift: tuple[float, float]

    def __post_init__(self) -> None:
        lengths = tuple(map(len, (self.usual, self.strangers, self.same, self.shift)))
        values = (*self.usual, *self.strangers, *self.same, *self.shift)
        deviations = (self.usual[-1], self.strangers[-1], self.same[-1])
        if lengths != (2, 3, 3, 2) or not all(map(math.isfinite, values)) or min(deviations) <= 0:
            raise EarmarkError(
                f"a resemblance has 2, 3, 3 and 2 finite values, deviations above 0, got {values}",
                "Export the model again",
            )

    def estimate(self, units: Floats, seconds: Floats) -> float:
        """The resemblance in a recording, the likeliest by its prior and what was heard.

        n stretches are taken to say as much as n - 1 pairs that know nothing of each other.

        Args:
            units: embeddings of stretches of one voice each (n, size), of unit length.
            seconds: of speech in each (n,).
        """
        order = np.argsort(-seconds, kind="stable")[:MOST]
        first, second = np.triu_indices(len(order), 1)
        cosines = (units[order] @ units[order].T)[first, second]
        x = abundance(seconds[order][first], seconds[order][second])
        u, v, deviation = self.strangers
        apart = _log_normal(cosines, GRID[:, None] * (u + v * x), deviation)
        u, v, deviation = self.same
        together = _log_normal(cosines, u + v * x, deviation)
        pairs = 2.0 / max(1, len(order))
        evidence = np.max(
            [
                np.logaddexp(apart + np.log1p(-share), together + np.log(share)).sum(axis=1) * pairs
                + np.log(chance)
                for share, chance in SAME.items()
            ],
            axis=0,
        )
        return float(GRID[np.argmax(evidence + _log_normal(GRID, *self.usual))])

    def calibration(self, usual: Calibration, found: float) -> Calibration:
        """The odds in a recording where it is as `found`, by those in a usual one."""
        higher = found - self.usual[0]
        a, b, c, d, e = usual.weights
        u, v = self.shift
        return replace(usual, weights=(a + higher * u, b + higher * v, c, d, e))


def _log_normal(values: Floats, mean: Floats | float, deviation: float) -> Floats:
    density: Floats = -0.5 * ((values - mean) / deviation) ** 2 - math.log(deviation)
    return density
