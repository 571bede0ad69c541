"""Whose voice a recording is: the claim of one name, or the likeliest of all who are enrolled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge.encoder import Model
from edge.enrolment import stream_statistics
from edge.errors import EarmarkError
from edge.gate import GateConfig
from edge.progress import stream_with_progress
from edge.scoring import OperatingPoint
from edge.sources.file import FileSource
from edge.speakers import SpeakerBook, rank
from edge.statistics import Profile, Sums


@dataclass(frozen=True)
class Verification:
    """Whether speech is the claimed speaker's: `answer` is `yes`, `no` or `not yet`.

    `llr` is in nats; `seconds` is the net speech behind it.
    """

    claimed: str
    answer: str
    llr: float
    seconds: float


@dataclass(frozen=True)
class Identification:
    """Whether speech is that of the likeliest enrolled speaker, `best`, and of whom else it may be.

    `margin` is by how much the llr of `best` exceeds the `runner_up`'s; None where there is none.
    """

    best: str
    answer: str
    llr: float
    runner_up: str | None
    margin: float | None
    seconds: float


def verify(model: Model, profile: Profile, statistics: Sums, point: OperatingPoint) -> Verification:
    """Compare speech with the one speaker that it is claimed to be."""
    (score,) = rank(model, SpeakerBook(model, [profile]).voices, statistics)
    return Verification(
        profile.name, point.answer(score.llr), score.llr, float(model.seconds(statistics))
    )


def identify(
    model: Model, profiles: Sequence[Profile], statistics: Sums, point: OperatingPoint
) -> Identification:
    """Compare speech with everybody; it may be nobody's.

    The rate of false accepts is that of a stranger being taken for anybody at all, so the more are
    enrolled, the more it takes to be recognised.

    Raises:
        EarmarkError: there is no profile.
    """
    if not profiles:
        raise EarmarkError("nobody is enrolled", "Begin with 'earmark enroll NAME FILE'")
    scores = rank(model, SpeakerBook(model, profiles).voices, statistics)
    best, other = scores[0], scores[1] if len(scores) > 1 else None
    strict = replace(point, false_accept=point.false_accept / len(profiles))
    return Identification(
        best=best.speaker,
        answer=strict.answer(best.llr),
        llr=best.llr,
        runner_up=other.speaker if other else None,
        margin=best.llr - other.llr if other else None,
        seconds=float(model.seconds(statistics)),
    )


def file_statistics(model: Model, paths: Sequence[Path]) -> list[Sums]:
    """Statistics of the speech in each file, after a look at all of them.

    Raises:
        EarmarkError: one is missing, not audio, truncated, empty or holds samples that are no
            numbers.
    """
    for path in paths:
        FileSource(path).close()  # what can be seen at once is told before the first is heard
    return [stream_statistics(model, stream_with_progress(path), GateConfig()) for path in paths]
