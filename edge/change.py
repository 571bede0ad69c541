"""Where the voice changes in a segment that is still open."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.encoder import Model
from edge.open_segment import OpenSegment
from edge.scoring import Calibration, Floats, directions, match_pairs
from edge.statistics import TOKEN, Sums
from edge.tracker_config import TrackerConfig
from edge.voices import Score


class ChangeFinder:
    """Finds changes by the sound alone, and sooner between voices that are known.

    A change is the place of the first record behind it.
    """

    def __init__(self, model: Model, config: TrackerConfig) -> None:
        self._model = model
        self._config = config
        self._newer_sides = side_lengths(config.min_side, config.look_back)

    def by_sound(self, segment: OpenSegment, within: Calibration) -> int | None:
        """Where what was heard does not match what followed, if there is such a place.

        `within`: scores.
        """
        places = len(segment) - self._newer_sides
        places = places[places >= self._config.min_side]
        if not len(places):
            return None
        llrs = self._one_voice(segment, places, within)
        worst = int(np.argmin(llrs))
        if llrs[worst] >= self._config.change_llr:
            return None
        # Some change is near: it is where the two sides match worst.
        last = places[worst - 1] if worst > 0 else places[worst]
        first = places[worst + 1] if worst + 1 < len(places) else places[worst]
        return self._worst(segment, np.arange(first, last + 1), within)

    def halves(self, segment: OpenSegment) -> list[Sums]:
        """The segment up to what is recent in it, and what is; none if it is too short for that."""
        count, recent = len(segment), self._config.recent
        if count < recent + max(recent // 2, 1):
            return []
        older = segment.totals[count - recent - 1]
        return [older, segment.totals[-1] - older]

    def by_voices(
        self, segment: OpenSegment, halves: Sequence[Sequence[Score]], within: Calibration
    ) -> int | None:
        """Where one known voice has taken over from another.

        `halves`: how the `halves` compare with all voices, likeliest first.
        """
        older, ranked = halves
        before, now, count = older[0], ranked[0], len(segment)
        if min(before.llr, now.llr) < 0.0 or now.speaker == before.speaker:
            return None
        left = next(score.llr for score in ranked if score.speaker == before.speaker)
        if now.llr - left < self._config.switch_llr:
            return None
        recent = self._config.recent
        half = recent // 2
        near = np.arange(count - recent - half, count - half + 1, TOKEN)
        near = near[near >= TOKEN]
        return self._worst(segment, near, within) if len(near) else None

    def _worst(self, segment: OpenSegment, places: NDArray[np.int64], within: Calibration) -> int:
        return int(places[np.argmin(self._one_voice(segment, places, within))])

    def _one_voice(
        self, segment: OpenSegment, places: NDArray[np.int64], within: Calibration
    ) -> Floats:
        """Llrs that the voice before each place in the segment is the one behind it."""
        older = np.stack([segment.totals[place - 1] for place in places])
        newer = segment.totals[-1] - older
        embeddings = self._model.embed(np.concatenate([older, newer]))
        match = match_pairs(*map(directions, np.split(embeddings, 2)))
        seconds = self._model.seconds
        return within.llr(match, seconds(older), seconds(newer))


def side_lengths(least: int, most: int) -> NDArray[np.int64]:
    """In whole tokens, from the least to the most, each greater than the last by a third or so."""
    count = 1 + max(0, math.ceil(np.log(most / least) / np.log(1.3)))
    lengths = np.geomspace(least, max(least, most), count)
    unique: NDArray[np.int64] = np.unique(TOKEN * np.ceil(lengths / TOKEN).astype(np.int64))
    return unique
