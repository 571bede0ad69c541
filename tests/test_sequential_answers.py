"""Risk: an answer too early, too late, or for the wrong one of two voices that are alike."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voices import ENROLMENT, ada, beginning, model

from edge.audio import read_audio
from edge.gallery import Gallery
from edge.gate import GateConfig
from edge.records import Record, all_records
from edge.scoring import FIRST_LOOK, OperatingPoint
from edge.speakers import SpeakerBook
from edge.statistics import Profile
from edge.verification import (
    SequentialTest,
    first_answer,
    identify,
    verify,
)
from edge.voices import Voices, usual_odds

POINT = OperatingPoint()


@cache
def own() -> tuple[Record, ...]:
    return tuple(all_records(model(), GateConfig(), read_audio(ENROLMENT)))


@cache
def crowd() -> tuple[Profile, ...]:
    """Ada, everybody at once, and every tenth of a second of 20 s as if it were somebody's."""
    records = [r for r in all_records(model(), GateConfig(), beginning()) if r.evidence]
    everybody = Profile("everybody", np.sum([r.statistics for r in records], axis=0))
    return (ada(), everybody, *(Profile(f"v{i}", r.statistics) for i, r in enumerate(records)))


def claim(point: OperatingPoint = POINT) -> SequentialTest:
    gallery = Gallery(model(), [ada()])
    return SequentialTest(model(), partial(verify, model(), gallery, "ada"), point)


def test_the_answer_comes_with_the_first_record_that_suffices() -> None:
    test, heard = claim(), np.zeros(model().statistics_size)
    for record in own():
        result = test.push(record)
        heard = heard + record.statistics * record.evidence
        alone = verify(model(), Gallery(model(), [ada()]), "ada", heard, POINT)
        assert test.standing() == alone
        enough = alone.seconds >= FIRST_LOOK and alone.llr >= POINT.each_look.accept_llr
        assert (result is not None) == (enough and record.evidence)
        if result is not None:
            assert result == alone
            break
    assert result is not None
    assert result.answer == "yes"
    assert 0 < result.seconds < 3


def test_stricter_rates_take_no_less_speech() -> None:
    seconds = []
    for rate in (0.1, 0.01, 0.001):
        test = claim(OperatingPoint(rate, rate))
        result = next(r for record in own() if (r := test.push(record)) is not None)
        seconds.append(result.seconds)
    assert seconds == sorted(seconds)


def test_what_tells_of_no_voice_is_not_looked_at() -> None:
    test = claim()
    for record in own():
        assert test.push(replace(record, evidence=False)) is None
    standing = test.standing()
    assert (standing.answer, standing.llr, standing.seconds) == ("not yet", 0, 0)


def test_nothing_is_heard_after_the_answer() -> None:
    left, gallery = iter(own()), Gallery(model(), [ada()])
    result = first_answer(model(), left, partial(verify, model(), gallery, "ada"), POINT)
    rest = sum(record.evidence for record in left)
    heard = sum(record.evidence for record in own()) - rest
    assert rest > 0
    assert result.seconds == pytest.approx(heard / 10, abs=0.05)


def test_one_of_two_who_are_alike_is_not_yet() -> None:
    """The same voice under two names passes the bound of a stranger, and is neither for sure."""
    twin = Profile("twin", ada().statistics * 1.01)
    both = Gallery(model(), [ada(), twin])
    found = identify(model(), both, ada().statistics, POINT)
    assert found.llr > POINT.accept_llr
    assert found.margin == pytest.approx(0, abs=0.1)
    assert found.answer == "not yet"
    assert identify(model(), Gallery(model(), [ada()]), ada().statistics, POINT).answer == "yes"


@settings(deadline=None, max_examples=20)  # each ranks in the slow way too
@given(count=st.integers(0, 200), size=st.integers(1, 150), record=st.integers(0, 50))
def test_the_nearest_are_the_first_of_all_ranked(count: int, size: int, record: int) -> None:
    profiles = crowd()[:size]
    heard = own()[record].statistics
    ranked = Voices(model(), SpeakerBook(model(), profiles).voices, usual_odds(model())).rank(heard)
    nearest = Gallery(model(), profiles).nearest(heard, count)
    assert len(nearest) == min(count, size)
    for found, expected in zip(nearest, ranked, strict=False):
        assert found.llr == pytest.approx(expected.llr, abs=1e-4)


def test_a_gallery_of_more_than_a_batch_is_in_order() -> None:
    alike = [Profile(f"v{i}", crowd()[1].statistics) for i in range(2500)]
    profiles = [*alike[:2000], ada(), *alike[2000:]]
    gallery = Gallery(model(), profiles)
    assert len(gallery) == 2501
    assert gallery.nearest(ada().statistics, 1)[0].speaker == "ada"


def test_an_empty_gallery_has_nobody() -> None:
    assert Gallery(model(), []).nearest(ada().statistics, 2) == []
