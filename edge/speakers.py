"""The voices that a stream knows: enrolled ones by name, others by a number that stays."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence

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
    """The voices that are known.

    Attributes:
        known: those from elsewhere: enrolled, or carried over. What is heard here changes none.
        heard: those in this recording, by the speech that is settled. One of them who is also
            known has that name.
        named: numbers given so far.
    """

    def __init__(self, model: Model, profiles: Sequence[Profile]) -> None:
        self._model = model
        self.named = 0
        self.known: list[Voice] = []
        self.heard: list[Voice] = []
        self.reload(profiles, {})

    def restore(self, state: State, elsewhere: bool) -> None:
        """Go on with the voices of an earlier run; `elsewhere`: it heard another recording."""
        self.named = state.named
        taken = self.names  # somebody may be enrolled as one of them by now
        for voice in state.voices:
            if voice.name not in taken:
                part = self.known if elsewhere else self.heard
                part.append(self._voice(voice.name, voice.sums, elsewhere=elsewhere))

    @property
    def voices(self) -> list[Voice]:
        """All, each by what was heard of it here, if anything was."""
        heard = {voice.name for voice in self.heard}
        return [*(voice for voice in self.known if voice.name not in heard), *self.heard]

    @property
    def names(self) -> list[str]:
        """Of all voices."""
        return [voice.name for voice in self.voices]

    @property
    def enrolled(self) -> set[str]:
        """Names of those who are enrolled."""
        return {voice.name for voice in self.known if voice.enrolled}

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
        """Add speech of this recording to a voice, old or new."""
        for place, voice in enumerate(self.heard):
            if voice.name == name:
                self.heard[place] = self._voice(name, voice.statistics + statistics)
                return
        self.heard.append(self._voice(name, statistics))

    def call(self, names: Sequence[str]) -> None:
        """The voices that were heard go on under these names, in their order."""
        self.heard = [
            voice if voice.name == name else self._voice(name, voice.statistics)
            for voice, name in zip(self.heard, names, strict=True)
        ]

    def merge(self, gone: str, into: str) -> None:
        """Two voices that were heard are one: what `gone` said is `into`'s."""
        statistics = next(voice.statistics for voice in self.heard if voice.name == gone)
        self.heard = [voice for voice in self.heard if voice.name != gone]
        self.learn(into, statistics)

    def drop(self, names: Collection[str]) -> None:
        """Forget voices; nobody is given their numbers."""
        self.known = [voice for voice in self.known if voice.name not in names]
        self.heard = [voice for voice in self.heard if voice.name not in names]

    def reload(self, profiles: Sequence[Profile], moved: Mapping[str, str]) -> None:
        """Have these enrolled and no others; voices in `moved` go on as one of them."""
        before, enrolled = self.enrolled, {profile.name for profile in profiles}
        carried = [
            voice
            for voice in self.known
            if not (voice.enrolled or voice.name in enrolled or voice.name in moved)
        ]
        self.known = [
            self._voice(profile.name, profile.statistics, enrolled=True, elsewhere=True)
            for profile in profiles
        ]
        self.known += carried
        heard, self.heard = self.heard, []
        named = before | moved.keys()
        for voice in heard:
            name = moved.get(voice.name, voice.name)
            # A number that somebody is enrolled as by now was another's.
            if (name in enrolled) == (voice.name in named):
                self.learn(name, voice.statistics)

    def _voice(
        self, name: str, statistics: Sums, *, enrolled: bool | None = None, elsewhere: bool = False
    ) -> Voice:
        if enrolled is None:
            enrolled = name in self.enrolled
        embedding = self._model.embed(statistics[None])[0]
        return Voice(name, statistics, embedding, enrolled, elsewhere)
