"""All who are enrolled as one array, so that a decision among any number is one product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.encoder import Model
from edge.scoring import Match, directions
from edge.statistics import Profile, Sums
from edge.store import Store
from edge.voices import Score

OTHERS = 32  # beside who is claimed, to know by them how alike strangers are: more tell no more
_BATCH = 1024  # profiles whose statistics are copied and embedded at once


class Gallery:
    """The embeddings of profiles, their directions (speakers, size) in float32, and net seconds.

    They are compared as they were when the gallery was made: what changes belongs in a
    `SpeakerBook`.
    """

    def __init__(self, model: Model, profiles: Sequence[Profile]) -> None:
        self._model = model
        self._names = [profile.name for profile in profiles]
        self._directions = np.empty((len(profiles), model.spec.embedding), dtype=np.float32)
        self._norms = np.empty(len(profiles))
        self._seconds = np.empty(len(profiles))
        for start in range(0, len(profiles), _BATCH):
            statistics = np.stack([p.statistics for p in profiles[start : start + _BATCH]])
            unit, norms = directions(model.embed(statistics))
            self._directions[start : start + _BATCH] = unit
            self._norms[start : start + _BATCH] = norms
            self._seconds[start : start + _BATCH] = model.seconds(statistics)

    def __len__(self) -> int:
        return len(self._names)

    def nearest(self, statistics: Sums, count: int) -> list[Score]:
        """The `count` voices that speech (size,) is likeliest of, likeliest first; all if fewer."""
        llrs = self._llrs(statistics)
        count = min(count, len(llrs))
        best = np.argpartition(-llrs, count - 1)[:count] if count else np.empty(0, dtype=np.intp)
        order = best[np.argsort(-llrs[best], kind="stable")]
        return [Score(self._names[i], float(llrs[i])) for i in order]

    def llr(self, name: str, statistics: Sums) -> float:
        """That speech (size,) is the voice `name`'s, who is one of them."""
        return float(self._llrs(statistics)[self._names.index(name)])

    def _llrs(self, statistics: Sums) -> NDArray[np.float64]:
        unit, norm = directions(self._model.embed(statistics[None]))
        cosines = (self._directions @ unit[0].astype(np.float32)).astype(np.float64)
        match = Match(cosines, norm + self._norms)
        everybody = np.ones(len(self), dtype=bool)
        return self._model.across.llr(
            match, self._model.seconds(statistics), self._seconds, everybody
        )


def claimed_gallery(model: Model, store: Store, name: str) -> Gallery:
    """The one speaker `name`, with others beside, by whom the odds know how alike strangers are.

    Raises:
        EarmarkError: nobody of that name, or the profile is another model's or damaged.
    """
    return Gallery(model, [store.profile(name), *store.others(name, OTHERS)])
