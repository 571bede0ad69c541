"""Whose voice speech is: the claim of one name, or the likeliest of all who are enrolled.

The answer comes as soon as the speech suffices for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from edge.encoder import Model
from edge.gallery import Gallery
from edge.records import Record
from edge.scoring import FIRST_LOOK, Answer, OperatingPoint
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


def verify(
    model: Model, gallery: Gallery, claimed: str, statistics: Sums, point: OperatingPoint
) -> Verification:
    """Compare speech (size,) with the one in a gallery whose it is claimed to be."""
    llr = gallery.llr(claimed, statistics)
    seconds = float(model.seconds(statistics))
    return Verification(claimed, point.answer(llr), llr, seconds, point)


def identify(
    model: Model, gallery: Gallery, statistics: Sums, point: OperatingPoint
) -> Identification:
    """Compare speech (size,) with everybody in a gallery of one or more; it may be nobody's."""
    best, *others = gallery.nearest(statistics, 2)
    margin = best.llr - others[0].llr if others else None
    return Identification(
        best=best.speaker,
        answer=point.answer_among(len(gallery), best.llr, margin),
        llr=best.llr,
        runner_up=others[0].speaker if others else None,
        margin=margin,
        seconds=float(model.seconds(statistics)),
        operating_point=point,
    )


Result = TypeVar("Result", Verification, Identification)
Compare = Callable[[Sums, OperatingPoint], Result]


class SequentialTest(Generic[Result]):
    """A sequential test (Wald, 1945): speech is compared again with each record, until yes or no.

    The llr of a sum of records is that of all the speech so far, so looks are not added up: each is
    compared with the same two bounds. With every look a stranger has another chance, most of all in
    the first second. So the first look waits for a second of speech, and each look may accept with
    a share of the rate alone.
    """

    def __init__(self, model: Model, compare: Compare[Result], point: OperatingPoint) -> None:
        self._model = model
        self._compare: Compare[Result] = compare
        self._point = point
        self._each_look = point.each_look
        self._heard = np.zeros(model.statistics_size)

    def push(self, record: Record) -> Result | None:
        """The answer, once it is yes or no; None as long as it is not."""
        if not record.evidence:
            return None
        self._heard += record.statistics
        if self._model.seconds(self._heard) < FIRST_LOOK:
            return None
        result = self._compare(self._heard, self._each_look)
        return None if result.answer == "not yet" else replace(result, operating_point=self._point)

    def standing(self) -> Result:
        """What all the speech says if no more will come, be it `not yet`."""
        return self._compare(self._heard, self._point)


def first_answer(
    model: Model, records: Iterable[Record], compare: Compare[Result], point: OperatingPoint
) -> Result:
    """The first answer that is yes or no, hearing no further; else that of all the speech."""
    test = SequentialTest(model, compare, point)
    for record in records:
        if (result := test.push(record)) is not None:
            return result
    return test.standing()
