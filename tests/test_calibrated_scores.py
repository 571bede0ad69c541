"""Scores are odds: they grow with the cosine, shrink with the evidence, and keep error rates."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_corpus import open_corpus
from voices import ada, model

from edge.errors import EarmarkError
from edge.gallery import Gallery
from edge.scoring import MIN_SECONDS, Calibration, OperatingPoint
from edge.speakers import SpeakerBook, rank
from edge.verification import identify, verify
from export.calibrate import CHANNELS, shared_channels

lengths = st.floats(0, 1e6)
long_enough = st.floats(MIN_SECONDS, 1e6)
cosines = st.floats(-1, 1)


def llr(cosine: float, first: float, second: float) -> float:
    return float(
        model().calibration.llr(np.array([cosine]), np.array([first]), np.array([second]))[0]
    )


@given(one=cosines, other=cosines, first=lengths, second=lengths)
def test_a_greater_cosine_is_never_less_likely(
    one: float, other: float, first: float, second: float
) -> None:
    low, high = sorted((one, other))
    assert llr(low, first, second) <= llr(high, first, second) + 1e-9
    assert math.isfinite(llr(low, first, second))


@given(first=long_enough, second=long_enough)
def test_the_shipped_calibration_tells_same_from_different_at_any_length(
    first: float, second: float
) -> None:
    assert llr(1.0, first, second) > 0 > llr(0.0, first, second)


@given(cosine=cosines, first=lengths, second=lengths)
def test_both_sides_count_alike(cosine: float, first: float, second: float) -> None:
    assert llr(cosine, first, second) == pytest.approx(llr(cosine, second, first))


@given(cosine=cosines, length=lengths, share=st.floats(0, 1))
def test_too_little_speech_fades_to_no_evidence(cosine: float, length: float, share: float) -> None:
    full = llr(cosine, MIN_SECONDS, length)
    assert llr(cosine, share * MIN_SECONDS, length) == pytest.approx(share * full)
    assert llr(cosine, 0.0, length) == 0


def test_no_speech_is_not_yet() -> None:
    nothing = np.zeros(model().statistics_size)
    own = Gallery(model(), [ada()])
    trial = verify(model(), own, nothing, OperatingPoint())
    assert (trial.answer, trial.llr, trial.seconds) == ("not yet", 0, 0)
    found = identify(model(), own, nothing, OperatingPoint())
    assert (found.answer, found.runner_up, found.margin) == ("not yet", None, None)


def test_whole_arrays_at_once() -> None:
    seconds = np.array([0.2, 1.0, 30.0])
    grid = model().calibration.llr(np.full((3, 3), 0.5), seconds[:, None], seconds[None])
    for i, first in enumerate(seconds):
        for j, second in enumerate(seconds):
            assert grid[i, j] == pytest.approx(llr(0.5, first, second))


def test_the_best_comes_first_with_its_margin() -> None:
    profiles = [ada(), type(ada())("noise", np.ones(model().statistics_size))]
    scores = rank(model(), SpeakerBook(model(), profiles).voices, ada().statistics)
    assert [score.speaker for score in scores] == ["ada", "noise"]
    found = identify(model(), Gallery(model(), profiles), ada().statistics, OperatingPoint())
    assert (found.answer, found.best, found.runner_up) == ("yes", "ada", "noise")
    assert found.margin == pytest.approx(scores[0].llr - scores[1].llr, rel=1e-5)


@given(false_accept=st.floats(1e-6, 0.499), miss=st.floats(1e-6, 0.499), value=st.floats(-30, 30))
def test_an_answer_keeps_the_rates(false_accept: float, miss: float, value: float) -> None:
    """Wald: a yes is (1-miss)/false_accept times likelier if it is true; a no likewise."""
    answer = OperatingPoint(false_accept, miss).answer(value)
    assert (answer == "yes") == (value >= math.log((1 - miss) / false_accept))
    assert (answer == "no") == (value <= math.log(miss / (1 - false_accept)))
    assert answer in ("yes", "no", "not yet")


def test_the_default_thresholds() -> None:
    point = OperatingPoint()
    answers = [point.answer(value) for value in (4.6, 4.59, 0, -4.59, -4.6, math.inf, -math.inf)]
    assert answers == ["yes", "not yet", "not yet", "not yet", "no", "yes", "no"]
    assert point.answer(math.nan) == "not yet"


@pytest.mark.parametrize("rate", [0, 0.5, 1, -0.01, math.nan, math.inf])
@pytest.mark.parametrize("name", ["false_accept", "miss"])
def test_rates_that_are_none(name: str, rate: float) -> None:
    with pytest.raises(EarmarkError, match=f"{name} must lie between 0 and 0.5"):
        OperatingPoint(**{name: rate})


@pytest.mark.parametrize(
    "weights", [(), (1.0, 2.0, 3.0), (0.0, 0.0, math.nan, 0.0), (math.inf,) * 4]
)
def test_a_calibration_that_is_none(weights: tuple[float, float, float, float]) -> None:
    with pytest.raises(EarmarkError, match="4 finite weights"):
        Calibration(weights)


def test_a_shared_channel_does_the_same_to_every_recording(tmp_path: Path) -> None:
    _, corpus = open_corpus(tmp_path)
    first, second = corpus.waveforms[0][:16000], corpus.waveforms[5][:16000]
    channels, again = shared_channels(corpus), shared_channels(corpus)
    assert len(channels) == CHANNELS
    heard = [channel(first) for channel in channels]
    for one, other in zip(heard, again, strict=True):
        np.testing.assert_array_equal(one, other(first))
    assert len({audio.tobytes() for audio in heard}) == CHANNELS
    for channel in channels:
        assert channel(second).shape == second.shape
        quiet = 0.5 * first
        louder = channel(first)
        np.testing.assert_allclose(channel(quiet), louder, atol=5e-2 * np.abs(louder).max())
