"""Risk: a piece cut out of one's speech, too short to tell whose it is, is given to another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from voices import RATE, model, two_voices

from edge.attribution import attribute
from edge.gate import GateConfig
from edge.records import all_records
from edge.statistics import Sums
from edge.stretch import Stretch
from edge.tracker_config import HorizonConfig
from edge.voices import UNKNOWN, Voice, Voices, usual_odds

LONG = 4 * RATE


@cache
def spoken() -> dict[str, list[Sums]]:
    """Statistics of each tenth of a second of two voices."""
    return {
        name: [r.statistics for r in all_records(model(), GateConfig(), audio) if r.speech]
        for name, audio in zip(("one", "other"), two_voices(), strict=True)
    }


def summed(tenths: Sequence[Sums]) -> Sums:
    total: Sums = np.sum(tenths, axis=0)
    return total


def both() -> Voices:
    """The two voices by their first four seconds."""
    known = {name: summed(tenths[:40]) for name, tenths in spoken().items()}
    return Voices(
        model(),
        [
            Voice(name, sums, model().embed(sums[None])[0], False, False)
            for name, sums in known.items()
        ],
        usual_odds(model()),
    )


def stretch(start: int, end: int, statistics: Sums, speaker: str = UNKNOWN) -> Stretch:
    embedding = model().embed(statistics[None])[0]
    return Stretch(start, 0, start, end, statistics, embedding, speaker)


def told(piece: Sums, beside: str, pause: int = 0) -> str:
    """Whose a second is taken for between two longer stretches of a voice, samples apart."""
    first = stretch(0, LONG, summed(spoken()[beside][:20]), beside)
    short = stretch(LONG + pause, LONG + pause + RATE, piece)
    last = stretch(short.end + pause, short.end + LONG, summed(spoken()[beside][20:40]), beside)
    nobody = Voices(model(), [], usual_odds(model()))
    attribute(model(), [first, short, last], both(), nobody, HorizonConfig())
    assert (first.speaker, last.speaker) == (beside, beside)
    return short.speaker


def in_doubt() -> Sums:
    """Tenths of both voices, by which the first is hardly likelier."""
    one, other = spoken().values()
    mixtures = [summed([*one[40 : 40 + n], *other[40 : 50 - n]]) for n in range(1, 10)]

    def ahead(piece: Sums) -> float:
        llrs = {score.speaker: score.llr for score in both().rank(piece)}
        return llrs["one"] - llrs["other"]

    return next(piece for piece in mixtures if ahead(piece) > 0.0)


def test_what_is_in_doubt_is_the_voices_that_it_was_cut_from() -> None:
    assert told(in_doubt(), "one") == "one"
    assert told(in_doubt(), "other") == "other"


def test_behind_a_pause_anybody_may_speak() -> None:
    assert told(in_doubt(), "other", pause=RATE) == "one"


@pytest.mark.parametrize("beside", ["one", "other"])
@pytest.mark.parametrize("name", ["one", "other"])
def test_what_is_surely_somebodys_is_theirs_among_anybodys(name: str, beside: str) -> None:
    assert told(summed(spoken()[name][40:55]), beside) == name
