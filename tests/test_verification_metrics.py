"""Risk: error rates that flatter or wrong a model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from train.metrics import all_pairs, cllr, equal_error_rate, error_rates, min_cllr, min_dcf
from train.trials import centre_crop, verification_errors

Trials = tuple[NDArray[np.float64], NDArray[np.bool_]]


@st.composite
def trials(draw: st.DrawFn) -> Trials:
    """Scores of both kinds of trials, many of them equal."""
    value = st.one_of(st.integers(-3, 3).map(float), st.floats(-5, 5, width=32))
    pairs = draw(st.lists(st.tuples(value, st.booleans()), min_size=2, max_size=40))
    scores, targets = (np.array(column) for column in zip(*pairs, strict=True))
    assume(targets.any() and not targets.all())
    return scores, targets


def counted_rates(scores: NDArray[np.float64], targets: NDArray[np.bool_]) -> list[list[float]]:
    """Misses and false alarms at every threshold that makes a difference, counted one by one."""
    rates = []
    for threshold in [-np.inf, *sorted(set(scores)), np.inf]:
        misses = sum(s < threshold for s, t in zip(scores, targets, strict=True) if t)
        alarms = sum(s >= threshold for s, t in zip(scores, targets, strict=True) if not t)
        rates.append([misses / targets.sum(), alarms / (~targets).sum()])
    return rates


@settings(deadline=None)
@given(trials())
def test_equal_error_rate_is_where_the_counted_rates_cross(given_trials: Trials) -> None:
    miss, alarm = np.array(counted_rates(*given_trials)).T
    crossing = np.interp(0.0, miss - alarm, miss)  # the difference rises with the threshold
    assert equal_error_rate(*given_trials) == pytest.approx(crossing, abs=1e-12)


@settings(deadline=None)
@given(trials(), st.sampled_from([0.01, 0.05, 0.5, 0.9]))
def test_detection_cost_is_the_least_over_all_thresholds(
    given_trials: Trials, prior: float
) -> None:
    costs = [prior * miss + (1 - prior) * alarm for miss, alarm in counted_rates(*given_trials)]
    expected = min(costs) / min(prior, 1 - prior)
    assert min_dcf(*given_trials, prior) == pytest.approx(expected, abs=1e-9)
    assert min_dcf(*given_trials, prior) <= 1.0 + 1e-12, "accepting none, or all, costs 1"


@settings(deadline=None)
@given(trials(), st.integers(0, 99))
def test_neither_order_nor_scale_of_the_scores_matters(given_trials: Trials, seed: int) -> None:
    scores, targets = given_trials
    order = np.random.default_rng(seed).permutation(len(scores))
    moved = 4.0 * scores[order]
    assert equal_error_rate(moved, targets[order]) == equal_error_rate(scores, targets)
    assert min_dcf(moved, targets[order]) == min_dcf(scores, targets)


@settings(deadline=None)
@given(trials())
def test_rates_go_from_accepting_all_to_accepting_none(given_trials: Trials) -> None:
    miss, alarm = error_rates(*given_trials)
    assert (miss[0], alarm[0]) == (0.0, 1.0)
    assert (miss[-1], alarm[-1]) == (1.0, pytest.approx(0.0, abs=1e-12))
    assert (np.diff(miss) >= 0).all()
    assert (np.diff(alarm) <= 0).all()


@pytest.mark.parametrize(
    ("same", "different", "eer"),
    [
        ([3.0, 4.0], [1.0, 2.0], 0.0),  # told apart
        ([1.0, 2.0], [3.0, 4.0], 1.0),  # told apart the wrong way round
        ([1.0, 1.0], [1.0, 1.0, 1.0], 0.5),  # says nothing
        ([1.0, 3.0], [0.0, 2.0], 0.5),
        ([2.0, 2.0, 2.0, 0.0], [1.0, 1.0, 1.0, 3.0], 0.25),
    ],
)
def test_known_cases(same: list[float], different: list[float], eer: float) -> None:
    targets = np.array([True] * len(same) + [False] * len(different))
    assert equal_error_rate(np.array(same + different), targets) == pytest.approx(eer)


@pytest.mark.parametrize("targets", [[True, True], [False, False], []])
def test_trials_of_one_kind_have_no_error_rates(targets: list[bool]) -> None:
    scores = np.zeros(len(targets))
    for measure in (equal_error_rate, min_dcf, cllr, min_cllr):
        with pytest.raises(ValueError, match="trials of both kinds"):
            measure(scores, np.array(targets, dtype=bool))


@settings(deadline=None)
@given(trials(), st.floats(0.1, 3), st.floats(-3, 3))
def test_no_rising_calibration_costs_less_than_the_least(
    given_trials: Trials, scale: float, offset: float
) -> None:
    scores, targets = given_trials
    least = min_cllr(scores, targets)
    assert -1e-12 <= least <= 1 + 1e-12, "llrs that are all 0 cost 1"
    assert least <= cllr(scale * scores + offset, targets) + 1e-9
    assert min_cllr(4.0 * scores, targets) == pytest.approx(least, abs=1e-9)


@pytest.mark.parametrize(
    ("same", "different", "cost", "least"),
    [
        ([0.0], [0.0], 1.0, 1.0),
        ([np.inf], [-np.inf], 0.0, 0.0),
        ([np.log(3.0)], [-np.log(3.0)], np.log2(4 / 3), 0.0),
        ([-np.log(3.0)], [np.log(3.0)], 2.0, 1.0),  # the wrong way round: best said nothing
        ([0.0, 2.0], [0.0], 1.0 - 0.25 * (1 - np.log2(1 + np.exp(-2.0))), None),
    ],
)
def test_known_costs_of_odds(
    same: list[float], different: list[float], cost: float, least: float | None
) -> None:
    targets = np.array([True] * len(same) + [False] * len(different))
    scores = np.array(same + different)
    assert cllr(scores, targets) == pytest.approx(cost)
    if least is not None:
        assert min_cllr(scores, targets) == pytest.approx(least, abs=1e-12)


def test_pairs_are_all_unordered_pairs_once() -> None:
    embeddings = np.eye(4)[[0, 0, 1, 2]]
    scores, targets = all_pairs(embeddings, ["a", "a", "a", "b"])
    np.testing.assert_array_equal(scores, [1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(targets, [True, True, False, True, False, False])


def test_trials_are_made_of_the_middle_of_each_recording() -> None:
    audio = np.arange(5 * 16000, dtype=np.float32)
    np.testing.assert_array_equal(centre_crop(audio, 1.0), audio[2 * 16000 : 3 * 16000])
    np.testing.assert_array_equal(centre_crop(audio, 9.0), audio)
    np.testing.assert_array_equal(centre_crop(audio, None), audio)

    seen = []

    def embed(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(len(samples))
        return np.array([1.0, 0.0] if samples[0] > 0 else [0.0, 1.0], dtype=np.float32)

    audios = [audio + 1, audio + 1, -audio - 1, -audio - 1]
    assert verification_errors(audios, ["a", "a", "b", "b"], embed, 1.5) == (0.0, 0.0)
    assert seen == [24000] * 4
