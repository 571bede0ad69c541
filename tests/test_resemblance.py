"""Risk: voices of a room in which all sound alike are heard as one, or one voice as several."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from voices import model

from edge.errors import EarmarkError
from edge.resemblance import GRID, MOST, Resemblance
from edge.scoring import Floats, Match, abundance

SIZE = 192
USUAL = Resemblance((0.15, 0.12), (1.0, 0.0, 0.1), (0.7, 0.0, 0.1), (-9.0, 0.0))


def stretches(
    voices: int, each: int, resemblance: float, seed: int, same: float = 0.7
) -> tuple[Floats, Floats]:
    """Unit embeddings of what voices say in turn: cosines of strangers are near `resemblance`."""
    random = np.random.default_rng(seed)
    room, *rest = np.linalg.qr(random.standard_normal((SIZE, 1 + voices + voices * each)))[0].T
    rows = [
        math.sqrt(resemblance) * room
        + math.sqrt(same - resemblance) * rest[k % voices]
        + math.sqrt(1.0 - same) * rest[voices + k]
        for k in range(voices * each)
    ]
    return np.stack(rows), np.full(len(rows), 5.0)


@given(
    voices=st.integers(2, 6),
    resemblance=st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.4]),
    seed=st.integers(0, 99),
)
def test_how_alike_strangers_are_is_found_without_knowing_who_is_who(
    voices: int, resemblance: float, seed: int
) -> None:
    units, seconds = stretches(voices, 6, resemblance, seed)
    assert abs(USUAL.estimate(units, seconds) - resemblance) < 0.08


@given(count=st.integers(2, 12), seed=st.integers(0, 99))
def test_one_voice_alone_says_nothing_of_strangers(count: int, seed: int) -> None:
    units, seconds = stretches(1, count, 0.0, seed)
    assert abs(USUAL.estimate(units, seconds) - USUAL.usual[0]) < 0.05


def test_before_anything_was_compared_it_is_as_usual() -> None:
    nothing = np.zeros((0, SIZE))
    for units in (nothing, stretches(1, 1, 0.0, 0)[0]):
        found = USUAL.estimate(units, np.full(len(units), 5.0))
        assert abs(found - USUAL.usual[0]) <= (GRID[1] - GRID[0]) / 2


@given(seed=st.integers(0, 99))
def test_the_order_of_stretches_is_of_no_account(seed: int) -> None:
    random = np.random.default_rng(seed)
    units, seconds = stretches(4, 4, 0.3, seed)
    seconds = seconds + random.permutation(len(seconds))
    order = random.permutation(len(seconds))
    assert USUAL.estimate(units[order], seconds[order]) == USUAL.estimate(units, seconds)


def test_only_the_stretches_of_most_speech_are_compared() -> None:
    units, seconds = stretches(4, MOST // 4, 0.3, 0)
    short, _ = stretches(1, 40, 0.0, 1)
    found = USUAL.estimate(
        np.concatenate([short, units]), np.concatenate([np.full(40, 1.0), seconds])
    )
    assert found == USUAL.estimate(units, seconds)


def test_a_usual_recording_has_the_usual_odds_and_a_cosine_says_less_where_all_are_alike() -> None:
    within, resemblance = model().within, model().resemblance
    usual, _ = resemblance.usual
    assert resemblance.calibration(within, usual) == within
    match, seconds = Match(np.array([0.5]), np.zeros(1)), np.array([5.0])
    llrs = [
        resemblance.calibration(within, found).llr(match, seconds, seconds)[0]
        for found in (usual - 0.1, usual, usual + 0.1, usual + 0.3)
    ]
    assert np.all(np.diff(llrs) < 0.0)


def test_the_model_that_ships_expects_strangers_below_one_voice_at_every_length() -> None:
    resemblance = model().resemblance
    for seconds in (0.4, 2.0, 30.0):
        x = float(abundance(np.array(seconds), np.array(seconds)))
        u, v, _ = resemblance.strangers
        u_same, v_same, _ = resemblance.same
        assert 0.0 < resemblance.usual[0] * (u + v * x) < u_same + v_same * x - 0.1


@pytest.mark.parametrize(
    "change",
    [
        {"usual": (0.1, 0.0)},
        {"usual": (math.nan, 0.1)},
        {"strangers": (1.0, 0.0, -0.1)},
        {"same": (1.0, 0.0)},
        {"shift": (math.inf, 0.0)},
    ],
)
def test_a_resemblance_that_is_none(change: dict[str, Any]) -> None:
    values = {
        "usual": USUAL.usual,
        "strangers": USUAL.strangers,
        "same": USUAL.same,
        "shift": USUAL.shift,
    }
    with pytest.raises(EarmarkError, match="deviations above 0"):
        Resemblance(**(values | change))
