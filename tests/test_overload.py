"""Risk: a machine that cannot keep up lags for ever, sheds for ever, or loses what it heard."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voices import RATE, assert_consistent, conversation, events_of, in_blocks, pipeline

from edge.clustering import agglomerate
from edge.events import Event, Segment
from edge.overload import Ladder


def test_steps_down_at_once_and_up_after_calm() -> None:
    ladder = Ladder()
    assert [ladder.note(lag, 0.0) for lag in (0.1, 0.9, 1.0, 1.9, 2.0, 9.0)] == [0, 0, 1, 1, 2, 2]
    assert ladder.note(0.1, 10.0) == 2
    assert ladder.note(0.1, 19.9) == 2
    assert ladder.note(0.1, 20.0) == 1
    assert ladder.note(0.1, 29.9) == 1
    assert ladder.note(0.1, 30.0) == 0


def test_no_calm_while_some_blocks_are_late() -> None:
    ladder = Ladder()
    ladder.note(3.0, 0.0)
    assert {ladder.note(0.6 if k % 90 == 0 else 0.1, k / 10) for k in range(1000)} == {2}


@given(st.lists(st.floats(0, 20), max_size=200))
def test_ends_where_it_began(lags: list[float]) -> None:
    ladder = Ladder()
    for k, lag in enumerate(lags):
        assert ladder.note(lag, k / 10) in (0, 1, 2)
    for k in range(300):
        ladder.note(0.0, len(lags) / 10 + k / 10)
    assert ladder.level == 0


def labelled(events: Sequence[Event]) -> int:
    """Samples in final segments; where one is cut depends on the voices known by then."""
    return sum(e.end - e.start for e in events if isinstance(e, Segment) and e.state == "final")


@pytest.mark.parametrize("level", [1, 2])
def test_every_stretch_still_gets_a_label(level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = conversation()[: 30 * RATE]
    blocks = in_blocks(samples, [RATE // 10] * 300)
    whole, spared = pipeline(), pipeline()
    spared.shedding = level
    expected = events_of(blocks, whole)
    cluster = Mock(wraps=agglomerate)
    monkeypatch.setattr("edge.grouping.agglomerate", cluster)
    events = events_of(blocks, spared)
    assert_consistent(events, len(samples))
    assert labelled(events) == pytest.approx(labelled(expected), rel=0.03)
    segments = [e for e in events if isinstance(e, Segment)]
    finals = [s.speaker for s in segments if s.state == "final"]
    assert len(finals) == len({s.id for s in segments})
    assert cluster.call_count == len(finals) // 4
    assert "ada" in finals
    if level == 2:  # first shown when they end
        ends = {s.id: s.end for s in segments if s.state == "final"}
        assert all(s.end == ends[s.id] for s in segments)


def test_who_was_somebody_is_not_nobody_until_the_next_look_back() -> None:
    samples, meanwhile = conversation(), 15 * RATE
    sparing = pipeline()
    events = sparing.push(samples[:meanwhile])
    sparing.shedding = 1
    events += sparing.push(samples[meanwhile:]) + sparing.flush()
    speakers: dict[int, str] = {}
    lost = []
    for event in events:
        if isinstance(event, Segment):
            if event.speaker == "unknown" != speakers.get(event.id, "unknown"):
                lost.append(event)
            speakers[event.id] = event.speaker
    assert len(set(speakers.values())) >= 4
    assert not lost
