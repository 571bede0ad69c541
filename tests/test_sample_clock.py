"""Risk: audio lost without a word is not noticed, or a busy machine is taken for a loss."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.sources.sample_clock import SampleClock

RATE = 48_000
BLOCK = 4800  # 100 ms


def hear(
    clock: SampleClock,
    seconds: float,
    *,
    ppm: float = 0.0,
    stalls: Sequence[float] = (0.0,),
    silent: tuple[float, float] = (0.0, 0.0),
) -> list[int]:
    """The gaps told by a clock that hears a device of its own speed.

    Every eight seconds the machine is busy for the next of `stalls`, and all that came meanwhile
    comes at once. Between the two moments of `silent`, audio is lost.
    """
    gaps = []
    block = BLOCK / RATE / (1 + ppm / 1e6)
    for k in range(round(seconds / block)):
        due = (k + 1) * block
        turn, moment = divmod(due, 8.0)
        at = due - moment + max(moment, stalls[int(turn) % len(stalls)])
        if not silent[0] < due <= silent[1]:
            gaps.append(clock.hear(BLOCK, 0, at))
    return gaps


@settings(max_examples=20, deadline=None)
@given(
    ppm=st.floats(-300, 300),
    stalls=st.lists(st.floats(0, 3), min_size=1, max_size=20),
)
def test_a_device_of_another_speed_on_a_busy_machine_has_no_gap(
    ppm: float, stalls: list[float]
) -> None:
    clock = SampleClock(RATE)
    assert not any(hear(clock, 200, ppm=ppm, stalls=stalls))
    assert clock.drift == pytest.approx(ppm, abs=25)


@settings(max_examples=20, deadline=None)
@given(begin=st.floats(12, 60), length=st.floats(0.25, 30))
@example(begin=15.0, length=8.9)  # nothing but a late block between two windows of the clock
def test_what_was_lost_in_silence_is_told_in_full(begin: float, length: float) -> None:
    clock = SampleClock(RATE)
    gaps = hear(clock, 120, stalls=[0.2, 0.0, 1.5], silent=(begin, begin + length))
    told = [gap for gap in gaps if gap]
    assert 1 <= len(told) <= 2  # two, where the machine was busy just before
    assert sum(told) / RATE == pytest.approx(length, abs=0.11)  # losses are whole blocks here


def test_losses_that_are_known_are_not_told_again() -> None:
    clock = SampleClock(RATE)
    for k in range(500):
        assert clock.hear(BLOCK, BLOCK, 2 * k * BLOCK / RATE) == 0


@pytest.mark.parametrize("rate", [RATE, 16_000])
def test_the_time_away_is_a_gap(rate: int) -> None:
    before = SampleClock(RATE)
    hear(before, 30)
    after = SampleClock(rate, before.due)
    gap = after.hear(rate // 10, 0, 42.5)
    assert gap == pytest.approx(rate * 12.4, abs=2)
    assert after.hear(rate // 10, 0, 42.6) == 0


def test_away_for_no_time_still_is_a_gap() -> None:
    """Something always was lost between two openings, and what was open has to end."""
    before = SampleClock(RATE)
    hear(before, 30)
    assert SampleClock(RATE, before.due).hear(BLOCK, 0, 30.0) == 1


def test_lost_again_before_a_sample_came() -> None:
    before = SampleClock(RATE)
    hear(before, 30)
    assert SampleClock(RATE, SampleClock(RATE, before.due).due).due == before.due
