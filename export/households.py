"""Who is told by name in a household: some of the voices are enrolled, the others are guests.

All are enrolled where they are heard then: in the same room, at the same seat, by the same
microphone, in another recording. That is how people enrol, and where strangers are most alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.progress import track

from edge.encoder import Model
from edge.front_end import SAMPLE_RATE
from edge.pipeline import PipelineConfig
from edge.rttm import Turn
from edge.statistics import Profile
from export.diarization import speaking
from export.hearing import DEFAULTS, STEP, Hearing, hear
from export.sides import speech_records
from train.cast import of_one_sitting
from train.manifest import Utterance
from train.simulate import Meeting, simulate_meeting

VOICES, MINUTES = 6, 4.0
ENROLLED = (1, 3)  # of them
ENROL_SECONDS = 8.0  # of speech
PAUSE = 2.0  # seconds from one enrolment to the next


@dataclass(frozen=True)
class Naming:
    """How the speech was named of those who speak alone, %.

    Attributes:
        enrolled: so many of the voices.
        when: `at once`, half a second after the speech, or `final`.
        own: of those enrolled, by their own name.
        others: of those enrolled, by another's.
        guests: of the guests, by anybody's name.
    """

    enrolled: int
    when: str
    own: float
    others: float
    guests: float


def evaluate_households(
    utterances: Sequence[Utterance],
    corpus: Path,
    model: Model,
    count: int,
    config: PipelineConfig = DEFAULTS,
) -> list[Naming]:
    """`count` households of voices of a list, each with few and with more of them enrolled.

    Raises:
        EarmarkError: the corpus does not suffice.
    """
    enrolments, others = _parted(utterances)
    heard: dict[int, list[tuple[list[str], Hearing]]] = {number: [] for number in ENROLLED}
    for seed in track(range(count), description="households", transient=True):
        meeting = simulate_meeting(others, corpus, VOICES, 60 * MINUTES, seed, overlap=True)
        profiles = enrol(model, meeting, enrolments)
        audio = list(meeting.blocks())
        for number in ENROLLED:
            names = [profile.name for profile in profiles[:number]]
            hearing = hear(
                f"{seed}", model, audio, meeting.turns, config, profiles=profiles[:number]
            )
            heard[number].append((names, hearing))
    return [
        _naming(number, when, heard[number]) for number in ENROLLED for when in ("at once", "final")
    ]


def enrol(model: Model, meeting: Meeting, recordings: dict[str, Path]) -> list[Profile]:
    """Everybody of a meeting, in its room, one after the other, by a recording of their own."""
    step = ENROL_SECONDS + PAUSE
    turns = [Turn(i * step, i * step + ENROL_SECONDS, name) for i, name in enumerate(meeting.cast)]
    cast = {name: [recordings[name]] for name in meeting.cast}
    session = replace(meeting, seconds=step * len(turns), turns=turns, cast=cast)
    audio = np.concatenate(list(session.blocks()))
    profiles = []
    for turn in turns:
        span = audio[round(turn.start * SAMPLE_RATE) : round((turn.end + PAUSE / 2) * SAMPLE_RATE)]
        profiles.append(Profile(turn.speaker, speech_records(model, span).sum(axis=0)))
    return profiles


def _parted(utterances: Sequence[Utterance]) -> tuple[dict[str, Path], list[Utterance]]:
    """By speaker, the longest recording of one sitting; and all others of that."""
    sitting = sorted(of_one_sitting(utterances), key=lambda u: -u.seconds)
    longest = {u.speaker: u.path for u in reversed(sitting)}
    return longest, [u for u in sitting if u.path != longest[u.speaker]]


def _naming(number: int, when: str, heard: Sequence[tuple[list[str], Hearing]]) -> Naming:
    counts = np.sum([_counts(names, hearing, when) for names, hearing in heard], axis=0)
    own, own_named, other_named, guests, guests_named = counts.tolist()
    return Naming(
        number,
        when,
        own=100 * own_named / max(1, own),
        others=100 * other_named / max(1, own),
        guests=100 * guests_named / max(1, guests),
    )


def _counts(enrolled: Sequence[str], hearing: Hearing, when: str) -> list[int]:
    """Tenths of a second of one voice: of those enrolled, named right, by another's name; of
    guests, named.
    """
    steps = round(hearing.seconds / STEP)
    names, speaks = speaking(hearing.truth, steps, STEP)
    labels, told = speaking(hearing.at_once if when == "at once" else hearing.final, steps, STEP)
    alone = speaks.sum(axis=0) == 1
    named = {name: told[labels.index(name)] for name in enrolled if name in labels}
    nobody = np.zeros(steps, dtype=bool)
    anybody = np.any([nobody, *named.values()], axis=0)
    own = own_named = other_named = guests = guests_named = 0
    for name, active in zip(names, speaks & alone, strict=True):
        if name in enrolled:
            right = named.get(name, nobody)
            own += int(active.sum())
            own_named += int((active & right).sum())
            other_named += int((active & anybody & ~right).sum())
        else:
            guests += int(active.sum())
            guests_named += int((active & anybody).sum())
    return [own, own_named, other_named, guests, guests_named]
