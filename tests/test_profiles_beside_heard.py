"""Risk: somebody enrolled speaks for a second, and from then on that second alone counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from voices import ada, beginning, model

from edge.gate import GateConfig
from edge.records import all_records
from edge.scoring import Floats
from edge.statistics import Sums
from edge.voices import AS_TELLING, Odds, Voice, Voices, usual_odds

NAME = "ada"


def seconds_of_speech(count: int) -> Sums:
    """Statistics (count, size) of the conversation's first seconds of speech, one a row."""
    records = [r.statistics for r in all_records(model(), GateConfig(), beginning()) if r.evidence]
    return np.stack([np.sum(records[10 * i : 10 * (i + 1)], axis=0) for i in range(count)])


def voice(name: str, statistics: Sums, *, elsewhere: bool) -> Voice:
    embedding = model().embed(statistics[None])[0]
    return Voice(name, statistics, embedding, name == NAME, elsewhere)


def llrs(voices: Voices, speech: Sums) -> Floats:
    return voices.llrs(model().embed(speech), model().seconds(speech))


def beside(heard: Sums, odds: Odds) -> tuple[Voices, Voices, Voices]:
    """Ada as one heard here, by her profile, and by both."""
    here = voice(NAME, heard, elsewhere=False)
    profile = voice(NAME, ada().statistics, elsewhere=True)
    return (
        Voices(model(), [here], odds),
        Voices(model(), [profile], odds),
        Voices(model(), [here], odds, [profile]),
    )


@given(st.floats(0.02, 50.0))
def test_what_was_heard_counts_the_more_the_more_it_is(times: float) -> None:
    first, *speech = seconds_of_speech(4)
    by_heard, by_profile, by_both = (
        llrs(voices, np.stack(speech)) for voices in beside(first * times, usual_odds(model()))
    )
    seconds = float(model().seconds(first * times))
    share = seconds / (seconds + AS_TELLING)
    assert by_both == pytest.approx(share * by_heard + (1.0 - share) * by_profile)


def test_another_profile_changes_nothing_for_who_has_none() -> None:
    first, second, third = seconds_of_speech(3)
    odds = usual_odds(model())
    nameless = voice("speaker1", second, elsewhere=False)
    here = voice(NAME, first, elsewhere=False)
    profile = voice(NAME, ada().statistics, elsewhere=True)
    without = llrs(Voices(model(), [here, nameless], odds), third[None])
    with_it = llrs(Voices(model(), [here, nameless], odds, [profile]), third[None])
    assert with_it[0, 1] == pytest.approx(without[0, 1])
    assert with_it[0, 0] != pytest.approx(without[0, 0], abs=0.01)
