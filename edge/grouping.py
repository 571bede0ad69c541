"""Which stretches of speech within a horizon are of one voice, settled or new. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edge.clustering import agglomerate
from edge.encoder import Model
from edge.scoring import Floats, directions
from edge.statistics import Sums
from edge.stretch import Stretch
from edge.tracker_config import HorizonConfig
from edge.voices import Odds, Voice

EARLY_SECONDS = 60.0  # of speech, of anybody: until then a new speaker needs less of it
EARLY_SHARE = 0.5  # but this share of it always


@dataclass(frozen=True)
class Grouping:
    """Stretches by voice, and the odds by which they were told apart.

    `settled` has those of each voice that was heard before, in their order; `new` those of each
    that was not and has said enough to be one, who said most first.
    """

    settled: list[list[Stretch]]
    new: list[list[Stretch]]
    odds: Odds


def group(
    model: Model,
    settled: Sequence[Voice],
    stretches: Sequence[Stretch],
    odds: Odds,
    config: HorizonConfig,
) -> Grouping:
    """Group the stretches that are long enough for it.

    `odds`: of this recording, as far as it was heard before.
    """
    # Of the speech that a new speaker needs, how much they need by now.
    heard_so_far = _seconds(model, settled) + _seconds(model, stretches)
    share = min(1.0, max(EARLY_SHARE, heard_so_far / EARLY_SECONDS))
    seeds = [s for s in stretches if _seconds(model, [s]) >= share * config.seed_speech]
    heard: list[Voice | Stretch] = [*settled, *seeds]
    if not heard:
        return Grouping([], [], odds)
    statistics = np.stack([one.statistics for one in heard])
    embeddings = np.stack([one.embedding for one in heard])
    odds = _of_recording(model, odds, statistics, embeddings)
    first = len(settled)
    rows = agglomerate(
        model, statistics, embeddings, first, odds=odds.within, threshold=config.merge_llr
    )
    groups = [[seeds[row - first] for row in own if row >= first] for own in rows]
    new = [g for g in groups[first:] if _seconds(model, g) >= share * config.new_speech]
    new.sort(key=lambda g: -_seconds(model, g))
    return Grouping(groups[:first], new, odds)


def _of_recording(model: Model, odds: Odds, statistics: Sums, embeddings: Floats) -> Odds:
    """The odds by how much the voices heard in the recording resemble each other."""
    if len(statistics) < 2:
        return odds
    found = model.resemblance.estimate(directions(embeddings).units, model.seconds(statistics))
    return odds._replace(within=model.resemblance.calibration(model.within, found))


def _seconds(model: Model, heard: Iterable[Voice | Stretch]) -> float:
    """Net speech of all these."""
    return sum(float(model.seconds(one.statistics)) for one in heard)
