"""Whose voice speech is: the claim of one name, or the likeliest of all who are enrolled.

The answer comes as soon as the speech suffices for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from edge.encoder import Model
from edge.enrolment import stream_statistics
from edge.gallery import Gallery
from edge.gate import GateConfig
from edge.progress import stream_with_progress
from edge.records import Record
from edge.scoring import Answer, OperatingPoint
from edge.sources.file import FileSource
from edge.statistics import Sums


@dataclass(frozen=True)
class Verification:
    """Whether speech is the claimed speaker's: `answer` is `yes`, `no` or `not yet`.

    `llr` is in nats; `seconds` is the net speech behind it.
    """

    claimed: str
    answer: Answer
    llr: float
    seconds: float
    operating_point: OperatingPoint


@dataclass(frozen=True)
class Identification:
    """Whether speech is that of the likeliest enrolled speaker, `best`, and of whom else it may be.

    `margin` is by how much the llr of `best` exceeds the `runner_up`'s; None where there is none.
    """

    best: str
    answer: Answer
    llr: float
    runner_up: str | None
    margin: float | None
    seconds: float
    operating_point: OperatingPoint


def verify(model: Model, claimed: Gallery, statistics: Sums, point: OperatingPoint) -> Verification:
    """Compare speech (size,) with the one speaker that it is claimed to be."""
    (score,) = claimed.nearest(statistics, 1)
    seconds = float(model.seconds(statistics))
    return Verification(score.speaker, point.answer(score.llr), score.llr, seconds, point)


def identify(
    model: Model, gallery: Gallery, statistics: Sums, point: OperatingPoint
) -> Identification:
    """Compare speech (size,) with everybody in a gallery of one or more; it may be nobody's.

    The rate of false accepts is that of a stranger being taken for anybody at all, so the more are
    enrolled, the more it takes to be recognised. A speaker who is enrolled is no stranger: whoever
    is not ahead of the runner-up by what the rates ask of two hypotheses is `not yet` recognised.
    """
    best, *others = gallery.nearest(statistics, 2)
    answer = replace(point, false_accept=point.false_accept / len(gallery)).answer(best.llr)
    margin = best.llr - others[0].llr if others else None
    if answer == "yes" and margin is not None and point.answer(margin) != "yes":
        answer = "not yet"
    return Identification(
        best=best.speaker,
        answer=answer,
        llr=best.llr,
        runner_up=others[0].speaker if others else None,
        margin=margin,
        seconds=float(model.seconds(statistics)),
        operating_point=point,
    )


Result = TypeVar("Result", Verification, Identification)


class SequentialTest(Generic[Result]):
    """Wald's sequential test: speech is compared again with each record, until a yes or a no.

    The llr of a sum of records is that of all the speech so far, so looks are not added up: each is
    compared with the same two bounds. Were it the exact likelihood ratio of the audio, a stranger
    would reach the upper bound at any of any number of looks with at most the rate asked (Ville,
    1939). It is that of an embedding, calibrated look by look, for which this is no theorem but
    measured: at 1 %, of 600 pairs of strangers held out of training, 3 got a yes at one of the
    looks in 10 s of speech, where 1 got it at their end; of 25 speakers, none a no.
    """

    def __init__(self, model: Model, compare: Callable[[Sums], Result]) -> None:
        self._compare: Callable[[Sums], Result] = compare
        self._heard = np.zeros(model.statistics_size)

    def push(self, record: Record) -> Result | None:
        """The answer, once it is yes or no; None as long as it is not."""
        if not record.speech:
            return None
        self._heard += record.statistics
        result = self._compare(self._heard)
        return None if result.answer == "not yet" else result

    def standing(self) -> Result:
        """What all the speech so far says, be it `not yet`."""
        return self._compare(self._heard)


def first_answer(
    model: Model, records: Iterable[Record], compare: Callable[[Sums], Result]
) -> Result:
    """The first answer that is yes or no, hearing no further; the last `not yet` without one."""
    test = SequentialTest(model, compare)
    for record in records:
        if (result := test.push(record)) is not None:
            return result
    return test.standing()


def file_statistics(model: Model, paths: Sequence[Path]) -> list[Sums]:
    """Statistics of the speech in each file, after a look at all of them.

    Raises:
        EarmarkError: one is missing, not audio, truncated, empty or holds samples that are no
            numbers.
    """
    for path in paths:
        FileSource(path).close()  # what can be seen at once is told before the first is heard
    return [stream_statistics(model, stream_with_progress(path), GateConfig()) for path in paths]
