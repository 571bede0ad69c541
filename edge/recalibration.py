"""Odds for other microphones, rooms and languages than the model's own, learnt from a user's clips.

What changes from one place to another is by how much strangers are alike and by how much a speaker
varies: an offset and a slope of the llrs. Two values need few speakers; with fewer still, they stay
near those that change nothing. They are learnt twice, of odds with and without others enrolled,
since whoever is enrolled tells much of the place already (see `edge.across`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.encoder import Model
from edge.errors import EarmarkError
from edge.private_file import replace_private
from edge.store import default_path
from edge.untrusted import parse

Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]

MAX_BYTES = 10_000
OFFSET, SLOPES = 20.0, (0.05, 20.0)  # what makes sense
OFFSET_SPREAD, SLOPE_SPREAD = 2.0, 0.5  # of what the model's own calibration leaves to be learnt
_STEPS = 50


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """llr' = offset + slope x llr."""

    offset: Annotated[float, msgspec.Meta(ge=-OFFSET, le=OFFSET)]
    slope: Annotated[float, msgspec.Meta(ge=SLOPES[0], le=SLOPES[1])]


class Recalibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The offset and slope of llrs between recordings, for the model's own odds by their id.

    `alone`: where nobody else is enrolled; `among`: where many are.
    """

    model: str
    alone: Line
    among: Line
    speakers: int
    trials: int

    def apply(self, model: Model) -> None:
        """From now on the model's llrs between recordings are these.

        Raises:
            EarmarkError: it was learnt of another model.
        """
        if self.model != model.odds_id:
            raise EarmarkError(
                f"the calibration was made with the odds {self.model}, this model's are "
                f"{model.odds_id}",
                "Run 'earmark calibrate' again, or remove the file",
            )
        alone, among = ((line.offset, line.slope) for line in (self.alone, self.among))
        model.across = model.across.rescaled(alone, among)


def recalibration_path() -> Path:
    """Beside the user's own store."""
    return default_path().with_name("calibration.json")


def save_recalibration(recalibration: Recalibration, path: Path) -> None:
    """Write it; what was there is replaced once this is whole.

    Raises:
        EarmarkError: it cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(recalibration))
    replace_private(path, text + b"\n")


def load_recalibration(path: Path) -> Recalibration:
    """Read it.

    Raises:
        EarmarkError: it cannot be read, or is none.
    """
    try:
        with path.open("rb") as file:
            return parse(msgspec.json.Decoder(Recalibration).decode, file.read(MAX_BYTES))
    except OSError as error:
        raise EarmarkError(
            f"cannot read the calibration {path}: {error.strerror}", "Check the path"
        ) from error
    except msgspec.DecodeError as error:
        raise EarmarkError(
            f"{path} is no calibration: {error}", "Run 'earmark calibrate' again"
        ) from error


def recalibrate(model: Model, path: Path | None) -> None:
    """Give the model the odds kept in a file; in the user's own, where None, if it is there.

    Raises:
        EarmarkError: it cannot be read, is none, or is another model's.
    """
    if path is None and not recalibration_path().exists():
        return
    load_recalibration(path or recalibration_path()).apply(model)


def fit(
    llrs: Floats, targets: Marks, lengths: NDArray[np.int64], speakers: int
) -> tuple[float, float]:
    """Offset and slope that make the llrs (trials,) of the clips' trials likelihood ratios.

    Logistic regression (Brümmer and du Preez, 2006) in which both kinds of trials weigh alike at
    every length of speech; a length with trials of one kind alone is left out. Trials of one
    speaker are not independent of each other: all together count as one observation a speaker,
    against the prior that nothing changes.

    Args:
        llrs: of the model's own calibration.
        targets: which are of one speaker.
        lengths: a number for the length of speech of each.
        speakers: in how many voices.
    """
    both = np.isin(lengths, lengths[targets]) & np.isin(lengths, lengths[~targets])
    llrs, targets, lengths = llrs[both], targets[both], lengths[both]
    kinds = 2 * lengths + targets
    counts = np.bincount(kinds)
    importance = speakers / (np.count_nonzero(counts) * counts[kinds])
    sign = np.where(targets, 1.0, -1.0)
    features = np.stack([np.ones_like(llrs), llrs], axis=1)
    nothing = np.array([0.0, 1.0])
    precision = np.diag([OFFSET_SPREAD**-2, SLOPE_SPREAD**-2])
    weights = nothing.copy()
    for _ in range(_STEPS):  # Newton's method; the cost is convex
        wrong = 1.0 / (1.0 + np.exp(np.clip(sign * (features @ weights), -500.0, 500.0)))
        gradient = precision @ (weights - nothing) - (importance * sign * wrong) @ features
        curvature = precision + (features.T * (importance * wrong * (1.0 - wrong))) @ features
        step = np.linalg.solve(curvature, gradient)
        size = float(np.abs(step).max())
        weights -= step / max(1.0, size)
        if size < 1e-9:
            break
    return float(weights[0]), float(weights[1])
