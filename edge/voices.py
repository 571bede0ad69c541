"""The voices known at a time, side by side: how speech compares with each of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from edge.across import Across, others_of
from edge.encoder import Model
from edge.scoring import Calibration, Floats, Match, directions, match_all, weighted_llr
from edge.statistics import Sums

UNKNOWN = "unknown"
AS_TELLING = 5.0  # seconds of a voice in this recording that tell as much as its profile


@dataclass
class Voice:
    """A voice: what is known of it, and its embedding (size,).

    `enrolled`: it has a name, and is given to nobody without evidence. `elsewhere`: its speech is
    from other recordings, so that scores with it are scores between recordings.
    """

    name: str
    statistics: Sums
    embedding: Floats
    enrolled: bool
    elsewhere: bool


class Score(NamedTuple):
    """How a stretch of speech compares with one speaker."""

    speaker: str
    llr: float


@dataclass(frozen=True)
class Standing:
    """How sure a speaker is: the llr, and by how much it exceeds the next voice's."""

    llr: float | None = None
    runner_up: str | None = None
    margin: float | None = None


def standing(speaker: str, ranked: Sequence[Score]) -> Standing:
    """The standing of a speaker among scores, likeliest first; empty for one never heard before."""
    own = next((s.llr for s in ranked if s.speaker == speaker and np.isfinite(s.llr)), None)
    other = next((s for s in ranked if s.speaker != speaker), None)
    if other is None:
        return Standing(own)
    return Standing(own, other.speaker, None if own is None else own - other.llr)


class Odds(NamedTuple):
    """How scores are weighed in a recording.

    `across`: with speech of other recordings. `within`: with that of the same.
    """

    across: Across
    within: Calibration

    def weights(self, elsewhere: NDArray[np.bool_]) -> list[Floats]:
        """The weights of scores with what is from elsewhere, or not."""
        pairs = zip(self.across.values(others_of(elsewhere)), self.within.values, strict=True)
        return [np.where(elsewhere, across, within) for across, within in pairs]


def usual_odds(model: Model) -> Odds:
    """Those of a recording of which nothing has been heard yet."""
    return Odds(model.across, model.within)


class Ranking(Sequence[Score]):
    """Voices by their llrs (voices,), likeliest first; of many, few are ever looked at."""

    def __init__(self, voices: Sequence[Voice], llrs: Floats) -> None:
        self._voices = voices
        self._llrs = llrs
        self._order = np.argsort(-llrs, kind="stable")

    @overload
    def __getitem__(self, index: int) -> Score: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Score]: ...
    def __getitem__(self, index: int | slice) -> Score | Sequence[Score]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        voice = self._order[index]
        return Score(self._voices[voice].name, float(self._llrs[voice]))

    def __len__(self) -> int:
        return len(self._order)


class Voices(Sequence[Voice]):
    """Voices as they are when this is made; what changes of them later does not count.

    Args:
        model: embeds.
        voices: see above.
        odds: by which they are compared.
        profiles: of some who were heard here, by their names: what is known of them from elsewhere.

    Attributes:
        odds: by which they are compared.
        names: of all.
        seconds: net speech of each (voices,).
        enrolled: names of those that are.
    """

    def __init__(
        self, model: Model, voices: Iterable[Voice], odds: Odds, profiles: Sequence[Voice] = ()
    ) -> None:
        self.odds = odds
        self._model = model
        self._voices = list(voices)
        self.names = {voice.name for voice in self._voices}
        self.enrolled = {voice.name for voice in self._voices if voice.enrolled}
        self._absent = {voice.name for voice in self._voices if voice.elsewhere}
        sides = [*self._voices, *profiles]
        embeddings = np.array([side.embedding for side in sides])
        self._directions = directions(embeddings.reshape(-1, model.spec.embedding))
        statistics = np.array([side.statistics for side in sides])
        seconds = model.seconds(statistics.reshape(-1, model.statistics_size))
        self.seconds, self._profile_seconds = np.split(seconds, [len(self)])
        self._elsewhere = np.array([side.elsewhere for side in sides], dtype=bool)
        self._enrolled = np.array([voice.enrolled for voice in self._voices], dtype=bool)
        places = {voice.name: place for place, voice in enumerate(self._voices)}
        self._owners = [places[profile.name] for profile in profiles]
        weights = [np.split(values, [len(self)]) for values in odds.weights(self._elsewhere)]
        self._weights, self._profile_weights = zip(*weights, strict=True)

    @overload
    def __getitem__(self, index: int) -> Voice: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Voice]: ...
    def __getitem__(self, index: int | slice) -> Voice | Sequence[Voice]:
        return self._voices[index]

    def __len__(self) -> int:
        return len(self._voices)

    def llrs(self, embeddings: Floats, seconds: Floats) -> Floats:
        """Llrs (rows, voices) of embeddings (rows, size) of so many seconds (rows,) of speech.

        Who has a profile is compared with that, too: the less was heard, the more it counts.
        """
        match, first = self.match(embeddings), seconds[:, None]
        llrs = self.weigh(match, first, self.seconds)
        known = Match(*(values[:, len(self) :] for values in match))
        by_profile = weighted_llr(self._profile_weights, known, first, self._profile_seconds)
        heard = self.seconds[self._owners]
        share = heard / (heard + AS_TELLING)
        llrs[:, self._owners] = share * llrs[:, self._owners] + (1.0 - share) * by_profile
        return llrs

    def match(self, embeddings: Floats) -> Match:
        """Embeddings (rows, size) beside voices, then profiles (rows, voices + profiles): cosines
        less what those from elsewhere tell of each other.
        """
        match = match_all(directions(embeddings), self._directions)
        return self.odds.across.discount(match, self._elsewhere)

    def weigh(self, match: Match, first: Floats, second: Floats) -> Floats:
        """Llrs (rows, voices) of `first` seconds of speech and `second` of the voices, by what was
        heard of those who were.
        """
        own = Match(*(values[:, : len(self)] for values in match))
        return weighted_llr(self._weights, own, first, second)

    def llr(self, name: str, embedding: Floats, statistics: Sums) -> float:
        """That speech (size,), embedded, is the voice `name`'s, who is one of them."""
        place = next(i for i, voice in enumerate(self._voices) if voice.name == name)
        return float(self.llrs(embedding[None], self._model.seconds(statistics[None]))[0, place])

    def nearest_enrolled(self, statistics: Sums) -> list[Score]:
        """The two of those enrolled whom speech (size,) is likeliest of, or as many as are."""
        (llrs,) = self.llrs(
            self._model.embed(statistics[None]), self._model.seconds(statistics[None])
        )
        places = np.flatnonzero(self._enrolled)
        order = places[np.argsort(-llrs[places], kind="stable")][:2]
        return [Score(self._voices[place].name, float(llrs[place])) for place in order]

    def rank(self, statistics: Sums) -> Ranking:
        """Speech (size,) against every voice, likeliest first."""
        return self.rank_all(self._model.embed(statistics[None]), statistics[None])[0]

    def rank_all(self, embeddings: Floats, statistics: Sums) -> list[Ranking]:
        """Rows of speech (rows, size), embedded, each against every voice, likeliest first."""
        llrs = self.llrs(embeddings, self._model.seconds(statistics))
        return [self.in_order(row) for row in llrs]

    def in_order(self, llrs: Floats) -> Ranking:
        """The llr of each voice (voices,) as scores, likeliest first."""
        return Ranking(self._voices, llrs)

    def likeliest(
        self, ranked: Iterable[Score], known_llr: float, guess_llr: float = -np.inf
    ) -> str:
        """The first of `ranked`, or `unknown`; somebody enrolled only from `known_llr` on, others
        from `guess_llr` on; and of those not heard in this recording so far each is the less likely
        to be here, the more they are.
        """
        for score in ranked:
            if score.llr < min(known_llr, guess_llr):
                break
            least = guess_llr
            if score.speaker in self._absent:
                least = known_llr + doubt(len(self._absent))
            elif score.speaker in self.enrolled:
                least = known_llr
            if score.llr >= least:
                return score.speaker
        return UNKNOWN


def doubt(voices: int) -> float:
    """By how many nats less likely it is that one of so many is here than that any of them is."""
    return math.log(max(1, voices))
