"""The voices that a stream knows: enrolled ones by name, others by a number that stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.encoder import Model
from edge.statistics import Profile, Sums


@dataclass
class Speaker:
    """A voice: what is known of it, and its embedding (size,), unit length."""

    name: str
    statistics: Sums
    embedding: NDArray[np.float64]
    enrolled: bool


@dataclass(frozen=True)
class Score:
    """How a stretch of speech compares with one speaker."""

    speaker: str
    llr: float


class SpeakerBook:
    """Scores stretches of speech against every voice, and keeps each voice as one record."""

    def __init__(self, model: Model, profiles: Sequence[Profile]) -> None:
        self._model = model
        self._created = 0
        self.speakers: list[Speaker] = []
        for profile in profiles:
            self._add(profile.name, profile.statistics, enrolled=True)

    def scores(self, statistics: Sums) -> list[Score]:
        """The stretch against every voice, likeliest first."""
        if not self.speakers:
            return []
        llrs = self.llr_matrix(statistics[None])[0]
        order = np.argsort(-llrs, kind="stable")
        return [Score(self.speakers[i].name, float(llrs[i])) for i in order]

    def llr_matrix(self, statistics: Sums) -> NDArray[np.float64]:
        """Log-likelihood ratios (rows, speakers) of stretches (rows, size)."""
        known = np.stack([speaker.statistics for speaker in self.speakers])
        embeddings = np.stack([speaker.embedding for speaker in self.speakers])
        cosines = self._model.embed(statistics) @ embeddings.T
        heard = self._model.seconds(statistics)[:, None]
        return self._model.calibration.llr(cosines, heard, self._model.seconds(known)[None])

    def create(self, statistics: Sums) -> str:
        """Give a new voice the next number."""
        names = {speaker.name for speaker in self.speakers}
        self._created += 1
        while (name := f"speaker{self._created}") in names:  # somebody may be enrolled as that
            self._created += 1
        self._add(name, statistics, enrolled=False)
        return name

    def learn(self, name: str, statistics: Sums) -> None:
        """Add speech to a voice. An enrolled profile grows for this stream, not in the store."""
        speaker = self[name]
        speaker.statistics = speaker.statistics + statistics
        speaker.embedding = self._model.embed(speaker.statistics[None])[0]

    def likeliest_same_pair(self) -> tuple[str, str, float] | None:
        """Of the voices without a name, which other voice each may be: (gone, into, llr)."""
        if len(self.speakers) < 2:
            return None
        llrs = self.llr_matrix(np.stack([s.statistics for s in self.speakers]))
        # A voice is folded into an older one; two enrolled people are never one.
        for row, speaker in enumerate(self.speakers):
            llrs[row, row:] = -np.inf
            if speaker.enrolled:
                llrs[row] = -np.inf
        gone, into = np.unravel_index(int(np.argmax(llrs)), llrs.shape)
        llr = float(llrs[gone, into])
        return self.speakers[gone].name, self.speakers[into].name, llr

    def merge(self, gone: str, into: str) -> None:
        """Fold one voice into another."""
        self.learn(into, self[gone].statistics)
        self.speakers.remove(self[gone])

    def __getitem__(self, name: str) -> Speaker:
        return next(speaker for speaker in self.speakers if speaker.name == name)

    def _add(self, name: str, statistics: Sums, enrolled: bool) -> None:
        embedding = self._model.embed(statistics[None])[0]
        self.speakers.append(Speaker(name, statistics, embedding, enrolled))
