"""Risk: detectors are compared at moments that are not the same, or against a wrong truth."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tiny_corpus import ASSETS, conversation
from voices import model

from edge.rttm import Turn, read_rttm
from export.detection import Curve, activity, voices_at, webrtc
from train.metrics import average_precision, roc_auc


def test_voices_are_people_not_turns() -> None:
    turns = [Turn(0.0, 2.0, "a"), Turn(1.0, 3.0, "b"), Turn(1.5, 1.8, "b"), Turn(4.0, 5.0, "a")]
    times = np.array([0.5, 1.6, 2.5, 3.5, 4.0, 5.0])
    assert voices_at(turns, times).tolist() == [1, 2, 1, 0, 1, 0]


def test_a_curve_between_its_frames() -> None:
    curve = Curve(np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    np.testing.assert_allclose(curve.at(np.array([0.0, 1.5, 9.0])), [0.0, 0.5, 1.0])


def test_both_detectors_hear_the_bundled_conversation_and_no_late() -> None:
    audio, turns = conversation(), read_rttm(ASSETS / "conversation.rttm")
    times = np.arange(0.05, len(audio) / 16000, 0.1)
    truth = voices_at(turns, times) >= 1
    own = (activity(model(), audio, "speech"), activity(model(), audio, "later_speech"))
    for curve in (webrtc(audio), *own):
        shifts = {d: roc_auc(curve.at(times + d), truth) for d in (-0.4, 0.0, 0.4)}
        assert max(shifts, key=shifts.__getitem__) == 0.0, shifts
        assert shifts[0.0] > 0.85


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=60))
def test_areas_are_what_counting_pairs_gives(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([float(score) for score, _ in pairs])
    targets = np.array([target for _, target in pairs])
    if targets.all() or not targets.any():
        return
    wins = np.sign(scores[targets][:, None] - scores[~targets][None])
    np.testing.assert_allclose(roc_auc(scores, targets), (wins.mean() + 1.0) / 2.0)
    assert 0.0 < average_precision(scores, targets) <= 1.0


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=60))
def test_average_precision_is_what_accepting_all_that_score_so_high_gives(
    pairs: list[tuple[int, bool]],
) -> None:
    scores = np.array([float(score) for score, _ in pairs])
    targets = np.array([target for _, target in pairs])
    if not targets.any():
        return
    expected = np.mean([targets[scores >= score].mean() for score in scores[targets]])
    np.testing.assert_allclose(average_precision(scores, targets), expected)


def test_scores_all_alike_have_the_precision_of_a_guess() -> None:
    targets = np.arange(10) < 3
    for order in (targets, targets[::-1]):
        np.testing.assert_allclose(average_precision(np.zeros(10), order), 0.3)


def test_average_precision_of_perfect_and_worst() -> None:
    targets = np.array([True, False, True, False])
    assert average_precision(targets * 1.0, targets) == 1.0
    worst = np.array([1.0, 3.0, 0.0, 2.0])
    np.testing.assert_allclose(average_precision(worst, targets), (1 / 3 + 2 / 4) / 2)
