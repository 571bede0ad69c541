"""The voices that a stream knows: enrolled ones by name, others by a number that stays."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

from edge.encoder import Model
from edge.state import State
from edge.statistics import Profile, Sums
from edge.voices import Odds, Voice, Voices


def numbered(number: int) -> str:
    """The name of a voice that has none."""
    return f"speaker{number}"


def twins(
    model: Model, voices: Sequence[Voice], name: str, odds: Odds, threshold: float
) -> tuple[str, str] | None:
    """The voice of that name and the one most like it, in their order, if they match so well.

    `odds`: score. `threshold`: the least llr.
    """
    grown = next((voice for voice in voices if voice.name == name), None)
    others = [voice for voice in voices if voice.name != name]
    if grown is None or not others:
        return None
    best = Voices(model, others, odds).rank(grown.statistics)[0]
    if best.llr < threshold:
        return None
    older, newer = (voice.name for voice in voices if voice.name in (name, best.speaker))
    return older, newer


class SpeakerBook:
    """The voices whose speech is settled, each kept as one record of statistics."""

    def __init__(self, model: Model, profiles: Sequence[Profile]) -> None:
        self._model = model
        self.named = 0  # numbers given so far
        self.voices: list[Voice] = []
        for profile in profiles:
            self._add(profile.name, profile.statistics, enrolled=True, elsewhere=True)

    def restore(self, state: State, elsewhere: bool) -> None:
        """Go on with the voices of an earlier run; `elsewhere`: it heard another recording."""
        self.named = state.named
        for known in state.voices:
            if known.name not in self.names:  # somebody may be enrolled as that by now
                self._add(known.name, known.sums, enrolled=False, elsewhere=elsewhere)

    @property
    def names(self) -> list[str]:
        """Names in the order in which the voices were settled."""
        return [voice.name for voice in self.voices]

    @property
    def next_number(self) -> int:
        """Of the next voice without a name; none is given twice."""
        numbers = itertools.count(self.named + 1)
        taken = self.names  # somebody may be enrolled as a number
        return next(number for number in numbers if numbered(number) not in taken)

    def new_name(self) -> str:
        """The name of a new voice, by the next number."""
        self.named = self.next_number
        return numbered(self.named)

    def learn(self, name: str, statistics: Sums) -> None:
        """Add speech to a voice, old or new. An enrolled one grows here, not in the store."""
        if name not in self.names:
            self._add(name, statistics, enrolled=False, elsewhere=False)
            return
        voice = self[name]
        voice.present = True
        voice.statistics = voice.statistics + statistics
        voice.embedding = self._model.embed(voice.statistics[None])[0]

    def merge(self, gone: str, into: str) -> None:
        """Two voices are one: what `gone` said is `into`'s."""
        statistics = self[gone].statistics
        self.voices = [voice for voice in self.voices if voice.name != gone]
        self.learn(into, statistics)

    def drop(self, names: Collection[str]) -> None:
        """Forget voices; nobody is given their numbers."""
        self.voices = [voice for voice in self.voices if voice.name not in names]

    def reload(self, profiles: Sequence[Profile], moved: Collection[str]) -> None:
        """Have these enrolled and no others; voices in `moved` go on as one of them."""
        enrolled = {profile.name for profile in profiles}
        nameless = [
            v for v in self.voices if not (v.enrolled or v.name in enrolled or v.name in moved)
        ]
        self.voices = []
        for profile in profiles:
            self._add(profile.name, profile.statistics, enrolled=True, elsewhere=True)
        self.voices += nameless

    def __getitem__(self, name: str) -> Voice:
        return next(voice for voice in self.voices if voice.name == name)

    def _add(self, name: str, statistics: Sums, *, enrolled: bool, elsewhere: bool) -> None:
        embedding = self._model.embed(statistics[None])[0]
        present = not elsewhere
        self.voices.append(Voice(name, statistics, embedding, enrolled, elsewhere, present))
