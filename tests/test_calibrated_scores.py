"""Scores are odds: they grow with the cosine, shrink with the evidence, and keep error rates."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_corpus import open_corpus
from voices import ada, model

from edge.errors import EarmarkError
from edge.gallery import Gallery
from edge.scoring import (
    MIN_SECONDS,
    Calibration,
    Match,
    OperatingPoint,
    abundance,
    directions,
    likeness,
    match_all,
    match_pairs,
)
from edge.speakers import SpeakerBook
from edge.verification import identify, verify
from edge.voices import Voices, usual_odds
from export.calibrate import Trials, _fit_across, _fit_within, fit_calibration
from export.sides import CHANNELS, shared_channels

lengths = st.floats(0, 1e6)
long_enough = st.floats(MIN_SECONDS, 1e6)
cosines = st.floats(-1, 1)
norms = st.floats(-20, 20)


each = pytest.mark.parametrize(
    "calibration", [model().across.alone, model().across.among, model().within]
)


def llr(
    calibration: Calibration, cosine: float, first: float, second: float, norm: float | None = None
) -> float:
    """With the norm that is usual for so much speech, where none is given."""
    if norm is None:
        usual, slope, *_ = calibration.norms
        norm = usual + slope * float(abundance(np.array(first), np.array(second)))
    match = Match(np.array([cosine]), np.array([norm]))
    return float(calibration.llr(match, np.array([first]), np.array([second]))[0])


@each
@given(one=cosines, other=cosines, first=lengths, second=lengths, norm=norms)
def test_a_greater_cosine_is_never_less_likely(
    calibration: Calibration, one: float, other: float, first: float, second: float, norm: float
) -> None:
    low, high = sorted((one, other))
    less, more = (llr(calibration, cosine, first, second, norm) for cosine in (low, high))
    assert less <= more + 1e-9
    assert math.isfinite(less)


@each
@given(first=long_enough, second=long_enough)
def test_the_shipped_calibrations_tell_same_from_different_at_any_length(
    calibration: Calibration, first: float, second: float
) -> None:
    assert llr(calibration, 1.0, first, second) > 0 > llr(calibration, 0.0, first, second)


@given(length=long_enough)
def test_within_a_recording_it_takes_more_to_be_the_same_voice(length: float) -> None:
    """The voices of one room and line are alike; how much so shows as they say more."""
    cosine = 0.5
    odds = (model().across.alone, model().within)
    across, within = (llr(c, cosine, length, length) for c in odds)
    assert within < across


@each
@given(cosine=cosines, first=lengths, second=lengths)
def test_both_sides_count_alike(
    calibration: Calibration, cosine: float, first: float, second: float
) -> None:
    one, other = llr(calibration, cosine, first, second), llr(calibration, cosine, second, first)
    assert one == pytest.approx(other)


@each
@given(cosine=cosines, length=lengths, share=st.floats(0, 1))
def test_too_little_speech_fades_to_no_evidence(
    calibration: Calibration, cosine: float, length: float, share: float
) -> None:
    full = llr(calibration, cosine, MIN_SECONDS, length)
    assert llr(calibration, cosine, share * MIN_SECONDS, length) == pytest.approx(share * full)
    assert llr(calibration, cosine, 0.0, length) == 0


@given(cosine=st.floats(0, 1), first=lengths, second=lengths, one=norms, other=norms)
def test_between_recordings_noise_is_never_proof(
    cosine: float, first: float, second: float, one: float, other: float
) -> None:
    less, more = sorted((one, other))
    for odds in (model().across.alone, model().across.among):
        noisier, cleaner = (llr(odds, cosine, first, second, norm) for norm in (more, less))
        assert noisier <= cleaner + 1e-9


def test_matches_of_rows_are_those_of_the_table() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(size=(5, 8)), 3.0 * random.normal(size=(5, 8))
    sides = directions(first), directions(second)
    table, rows = match_all(*sides), match_pairs(*sides)
    np.testing.assert_allclose(np.diag(table.cosines), rows.cosines)
    np.testing.assert_allclose(np.diag(table.norms), rows.norms)
    lengths = [np.linalg.norm(vectors, axis=1) for vectors in (first, second)]
    np.testing.assert_allclose(rows.norms, np.log(lengths[0] * lengths[1]))
    np.testing.assert_allclose(rows.cosines, np.sum(first * second, axis=1) / np.prod(lengths, 0))
    nothing = match_all(directions(np.zeros((1, 8))), sides[0])
    assert np.isfinite([*nothing.cosines, *nothing.norms]).all()


def test_no_speech_is_not_yet() -> None:
    nothing = np.zeros(model().statistics_size)
    own = Gallery(model(), [ada()])
    trial = verify(model(), own, "ada", nothing, OperatingPoint())
    assert (trial.answer, trial.llr, trial.seconds) == ("not yet", 0, 0)
    found = identify(model(), own, nothing, OperatingPoint())
    assert (found.answer, found.runner_up, found.margin) == ("not yet", None, None)


def test_whole_arrays_at_once() -> None:
    seconds = np.array([0.2, 1.0, 30.0])
    match = Match(np.full((3, 3), 0.5), np.full((3, 3), 8.0))
    grid = model().across.alone.llr(match, seconds[:, None], seconds[None])
    for i, first in enumerate(seconds):
        for j, second in enumerate(seconds):
            assert grid[i, j] == pytest.approx(llr(model().across.alone, 0.5, first, second, 8.0))


def test_the_best_comes_first_with_its_margin() -> None:
    profiles = [ada(), type(ada())("noise", np.ones(model().statistics_size))]
    voices = Voices(model(), SpeakerBook(model(), profiles).voices, usual_odds(model()))
    scores = voices.rank(ada().statistics)
    assert [score.speaker for score in scores] == ["ada", "noise"]
    found = identify(model(), Gallery(model(), profiles), ada().statistics, OperatingPoint())
    assert (found.answer, found.best, found.runner_up) == ("yes", "ada", "noise")
    assert found.margin == pytest.approx(scores[0].llr - scores[1].llr, rel=1e-5)


@given(false_accept=st.floats(1e-9, 0.499), miss=st.floats(1e-9, 0.499), mean=st.floats(0.01, 50))
def test_an_answer_keeps_the_rates(false_accept: float, miss: float, mean: float) -> None:
    """However far strangers and speakers are apart, if the llrs are right and normal."""
    point = OperatingPoint(false_accept, miss)
    strangers, speakers = (NormalDist(m, math.sqrt(2 * mean)) for m in (-mean, mean))
    assert strangers.cdf(2 * -mean - point.accept_llr) <= false_accept * (1 + 1e-6)  # the far tail
    assert speakers.cdf(point.refuse_llr) <= miss * (1 + 1e-6)
    assert point.answer(point.accept_llr) == "yes"
    assert point.answer(point.refuse_llr) == "no"


def test_a_rate_is_reached_where_it_is_the_hardest_to_keep() -> None:
    point = OperatingPoint(0.01, 0.001)
    for rate, bound in ((0.01, point.accept_llr), (0.001, -point.refuse_llr)):
        others = NormalDist(-bound, math.sqrt(2 * bound))
        assert 1 - others.cdf(bound) == pytest.approx(rate)


def test_the_default_thresholds() -> None:
    point = OperatingPoint()
    answers = [point.answer(value) for value in (2.71, 2.7, 0, -2.7, -2.71, math.inf, -math.inf)]
    assert answers == ["yes", "not yet", "not yet", "not yet", "no", "yes", "no"]
    assert point.answer(math.nan) == "not yet"


@pytest.mark.parametrize("rate", [0, 0.5, 1, -0.01, math.nan, math.inf])
@pytest.mark.parametrize("name", ["false_accept", "miss"])
def test_rates_that_are_none(name: str, rate: float) -> None:
    with pytest.raises(EarmarkError, match=f"{name} must lie between 0 and 0.5"):
        OperatingPoint(**{name: rate})


@pytest.mark.parametrize(
    ("weights", "norms", "longest", "bend"),
    [
        ((), (0.0,) * 4, 30.0, 0.0),
        ((1.0, 2.0, 3.0, 4.0), (0.0,) * 4, 30.0, 0.0),
        ((0.0, 0.0, math.nan, 0.0, 0.0), (0.0,) * 4, 30.0, 0.0),
        ((0.0, 0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.0, math.inf), 30.0, 0.0),
        ((0.0, 0.0, 1.0, 0.0, 0.0), (0.0, 0.0), 30.0, 0.0),
        ((0.0, 0.0, 1.0, 0.0, 0.0), (0.0,) * 4, math.inf, 0.0),
        ((0.0, 0.0, 1.0, 0.0, 0.0), (0.0,) * 4, 0.0, 0.0),
        ((0.0, 0.0, 1.0, 0.0, 0.0), (0.0,) * 4, 30.0, 1.1),
        ((0.0, 0.0, 1.0, 0.0, 0.0), (0.0,) * 4, 30.0, math.nan),
    ],
)
def test_a_calibration_that_is_none(weights: Any, norms: Any, longest: float, bend: float) -> None:
    with pytest.raises(EarmarkError, match="5 finite weights"):
        Calibration(weights, norms, longest, bend)


@each
@given(cosine=cosines, length=lengths, more=st.floats(0, 1e6))
def test_beyond_the_longest_a_voice_is_known_as_well_as_it_will_be(
    calibration: Calibration, cosine: float, length: float, more: float
) -> None:
    longest = llr(calibration, cosine, calibration.longest, length, 8.0)
    assert llr(calibration, cosine, calibration.longest + more, length, 8.0) == longest


@given(cosine=st.floats(-0.95, 0.95))
def test_the_likeness_is_between_the_cosine_and_its_z(cosine: float) -> None:
    value = np.array([cosine])
    assert likeness(value, 0.0)[0] == cosine
    assert likeness(value, 1.0)[0] == pytest.approx(math.atanh(cosine))
    halfway = (cosine + math.atanh(cosine)) / 2
    assert likeness(value, 0.5)[0] == pytest.approx(halfway)


@each
def test_odds_that_are_certain_are_none(calibration: Calibration) -> None:
    """A recording compared with itself has a cosine of 1, of which the transform is infinite."""
    assert llr(calibration, 1.0, 1e6, 1e6) < 40
    assert llr(calibration, -1.0, 1e6, 1e6) > -60


def test_odds_are_right_at_every_length_of_speech_in_any_noise() -> None:
    """Fitted on scores whose likelihood ratio is known, short and long ones in any number."""
    random = np.random.default_rng(0)
    conditions = []
    for seconds, count in ((0.5, 40_000), (4.0, 8_000), (25.0, 4_000)):
        x = float(np.log(seconds))
        noise = random.uniform(-0.5, 0.5, count)
        slope, offset = 7.0 + 3.0 * x - 2.0 * noise, -2.0 - 1.5 * x
        cosines = random.uniform(-0.5, 1.0, count)
        odds = offset + slope * cosines
        targets = random.uniform(size=count) < 1 / (1 + np.exp(-odds))
        # Both kinds weigh alike in the fit: what is left of them must be alike as well.
        share = targets.mean()
        kept = np.where(targets, random.uniform(size=count) < (1 - share) / share, True)
        abundances = np.full(kept.sum(), x)
        norms = 8.0 - 0.2 * x + noise[kept]
        conditions.append(Trials(cosines[kept], norms, abundances, targets[kept]))
    fitted = _fit_across(conditions)
    np.testing.assert_allclose(fitted.norms, [8.0, -0.2, -0.49, 0.49], atol=0.02)
    *_, c, d, e = fitted.weights
    for seconds in (0.5, 4.0, 25.0):
        x = np.log(seconds)
        for excess in (-0.4, 0.4):
            expected = 7.0 + 3.0 * x - 2.0 * excess
            np.testing.assert_allclose(c + d * x + e * excess, expected, rtol=0.1)


def test_odds_are_right_at_every_table_however_alike_its_voices_are() -> None:
    """Fitted on tables of known resemblance: normal cosines whose likelihood ratio is known."""
    random = np.random.default_rng(0)
    deviation, same_mean = 0.15, 0.7
    tables = []
    for resemblance in np.tile([0.0, 0.1, 0.2, 0.3, 0.4], 12):
        x = np.log(random.uniform(0.5, 20.0, 1200))
        same = np.arange(len(x)) % 2 == 0
        means = np.where(same, same_mean, resemblance * (0.7 + 0.2 * x))
        cosines = random.normal(means, deviation)
        tables.append(Trials(cosines, np.zeros_like(x), x, same))
    within, found = _fit_within({"one": tables[:20], "other": tables[20:]})
    assert within.weights[3:] == (0.0, 0.0)
    plenty = 0.7 + 0.2 * 2.0
    np.testing.assert_allclose(found.usual, (0.2 * plenty, 0.14 * plenty), atol=0.03)
    np.testing.assert_allclose(found.strangers[2], deviation, rtol=0.05)
    np.testing.assert_allclose(found.same, (same_mean, 0.0, deviation), atol=0.02)
    for resemblance in (0.0, 0.2, 0.4):
        calibration = found.calibration(within, resemblance * plenty)
        strangers = resemblance * (0.7 + 0.2 * np.log(4.0))
        middle = (same_mean + strangers) / 2
        value = calibration.llr(
            Match(np.array([middle]), np.zeros(1)), np.array([4.0]), np.array([4.0])
        )
        assert abs(value[0]) < 1.0, "halfway between strangers and one voice, odds are even"


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


def test_a_model_that_hears_no_speech_gets_no_odds() -> None:
    silence = [np.zeros(64000, dtype=np.float32)] * 4
    speech = (silence, ["a", "a", "b", "b"], ["one"] * 4)
    with pytest.raises(EarmarkError, match="hears too little speech of those held out"):
        fit_calibration(model(), speech, {"a", "b"}, [])


def test_odds_that_fall_where_voices_are_more_alike_are_refused() -> None:
    """Of an encoder that tells nobody apart, chance decides which way they go."""
    random = np.random.default_rng(0)
    x = np.log(random.uniform(0.5, 20.0, 2000))
    same = np.arange(len(x)) % 2 == 0
    cosines = random.normal(np.where(same, 0.4, 0.5), 0.2)
    trials = Trials(cosines, random.normal(8.0, 0.1, len(x)), x, same)
    for fit in (lambda: _fit_across([trials]), lambda: _fit_within({"one": [trials]})):
        with pytest.raises(EarmarkError, match="more alike would less likely be one"):
            fit()
