"""Risk: a segment with two voices stays whole, one voice is cut to pieces, or speech is lost."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from voices import assert_consistent, conversation, model, two_voices

from edge.change import ChangeFinder
from edge.events import Event, Segment
from edge.gate import GateConfig
from edge.open_segment import OpenSegment
from edge.records import Hindsight, Record, all_records
from edge.scoring import OperatingPoint
from edge.segmenter import CHANGE_LOG_ODDS, LEAST, as_tokens, changes, cuts
from edge.statistics import AROUND, TOKEN, Sums, surroundings
from edge.tracker import Tracker
from edge.tracker_config import TrackerConfig
from edge.voices import Score

STEP = 1600  # samples of a record


def totals_of(records: list[Record]) -> list[Sums]:
    return list(np.cumsum([r.statistics for r in records], axis=0))


@cache
def spoken() -> tuple[list[Record], list[Record]]:
    """Four seconds of speech of each of two voices, heard in one stream."""
    one, other = (
        [r for r in all_records(model(), GateConfig(), voice) if r.speech][5:45]
        for voice in two_voices()
    )
    return one, other


def in_a_row(*parts: list[Record]) -> list[Record]:
    told = Hindsight(speech=True, overlap=0.0)
    records = [record for part in parts for record in part]
    return [
        Record(k * STEP, (k + 1) * STEP, True, True, record.statistics, told)
        for k, record in enumerate(records)
    ]


@given(st.integers(2, 40))
def test_what_is_around_a_token_is_the_sum_of_its_records(count: int) -> None:
    records = np.random.default_rng(count).standard_normal((count, 3))
    around = surroundings(records.cumsum(axis=0))
    assert around.shape == (len(AROUND), count // TOKEN, 3)
    whole = count // TOKEN * TOKEN
    for wide, sums in zip(AROUND, around, strict=True):
        for token, total in enumerate(sums):
            first, last = token * TOKEN - wide, (token + 1) * TOKEN + wide
            np.testing.assert_allclose(total, records[max(first, 0) : min(last, whole)].sum(axis=0))


def test_tokens_are_unit_embeddings_side_by_side() -> None:
    embeddings = np.random.default_rng(1).standard_normal((len(AROUND) * 4, 5))
    tokens = as_tokens(embeddings, 4)
    assert tokens.shape == (4, len(AROUND) * 5)
    for token in range(4):
        for width in range(len(AROUND)):
            unit = embeddings[4 * width + token]
            part = tokens[token, 5 * width : 5 * width + 5]
            np.testing.assert_allclose(part, unit / np.linalg.norm(unit))


@given(st.lists(st.tuples(st.integers(LEAST, 12), st.integers(0, 3)), min_size=1, max_size=6))
def test_a_segment_is_cut_exactly_where_voices_change(parts: list[tuple[int, int]]) -> None:
    voices = np.repeat([voice for _, voice in parts], [length for length, _ in parts])
    odds = np.where(voices[:, None] == voices[None], 10.0, -10.0)
    assert cuts(odds) == (np.flatnonzero(np.diff(voices)) + 1).tolist()


@given(st.integers(0, 60), st.integers(0, 1000))
def test_parts_are_never_too_short_for_a_voice(tokens: int, seed: int) -> None:
    odds = np.random.default_rng(seed).normal(CHANGE_LOG_ODDS, 3.0, (tokens, tokens))
    places = cuts(odds + odds.T)
    assert np.diff([0, *places, tokens]).min(initial=LEAST) >= LEAST or not places


def test_a_change_of_voice_is_found_to_a_fraction_of_a_second() -> None:
    one, other = spoken()
    (place,) = changes(model(), totals_of([*one, *other]))
    assert abs(place - len(one)) <= 4


@pytest.mark.parametrize("voice", [0, 1])
def test_one_voice_is_not_cut(voice: int) -> None:
    assert changes(model(), totals_of(spoken()[voice])) == []


@pytest.mark.parametrize("count", range(2 * LEAST * TOKEN))
def test_too_little_for_two_voices_is_not_cut(count: int) -> None:
    one, other = spoken()
    half = count // 2
    assert changes(model(), totals_of([*one[: count - half], *other[:half]])) == []


def test_a_segment_that_closes_is_cut_and_nothing_of_it_is_lost() -> None:
    tracker = Tracker(model(), [], TrackerConfig(change_llr=-1e9), OperatingPoint())
    records = in_a_row(*spoken())
    events: list[Event] = [event for record in records for event in tracker.push(record)]
    events += tracker.finish()
    end = records[-1].end
    assert_consistent(events, end)
    final = [e for e in events if isinstance(e, Segment) and e.state == "final"]
    assert len(final) == 2
    first, second = final
    assert (first.start, second.end) == (0, end)
    assert first.end == second.start
    assert second.id == first.id + 1


def test_cuts_of_the_conversation_depend_on_its_speech_alone() -> None:
    records = [r for r in all_records(model(), GateConfig(), conversation()) if r.speech][:120]
    totals = totals_of(records)
    assert changes(model(), totals) == changes(model(), totals) != []


@pytest.mark.parametrize("count", range(1, 13))
@pytest.mark.parametrize("recent", [1, 2, 3, 6])
def test_a_voice_takes_over_within_the_segment_or_not_yet(recent: int, count: int) -> None:
    segment = OpenSegment()
    for record in in_a_row(spoken()[0][:count]):
        segment.append(record)
    finder = ChangeFinder(model(), TrackerConfig(recent=recent, switch_llr=0.0))
    halves = finder.halves(segment)
    if not halves:
        return
    assert all(part.any() for part in halves)
    before, now = Score("ben", 1.0), Score("ada", 2.0)
    ranked = [[before, now], [now, before]]
    place = finder.by_voices(segment, ranked, model().within)
    assert (place is None) == (count == 2)
    assert place is None or 0 < place < count


def test_a_change_of_voice_is_put_at_the_pause_beside_it() -> None:
    """The pause is nobody's: it would be of the first voice, were the cut a record behind it."""
    one, other = (part[:20] for part in spoken())
    records = in_a_row(one, other)
    late = [
        Record(r.start + 3 * STEP, r.end + 3 * STEP, True, True, r.statistics, r.hindsight)
        for r in records[20:]
    ]
    segment = OpenSegment()
    for record in [*records[:20], *late]:
        segment.append(record)
    found = [segment.pause_near(place) for place in (10, 16, 17, 20, 23, 24)]
    assert found == [10, 16, 20, 20, 20, 24]
    assert segment.pause_near(40) == 40


def test_a_segment_that_grew_too_long_ends_at_its_last_pause() -> None:
    tracker = Tracker(model(), [], TrackerConfig(max_unknown=20, max_segment=20), OperatingPoint())
    one, _ = spoken()
    speech = [True] * 18 + [False] * 3 + [True] * 20
    records = [
        Record(k * STEP, (k + 1) * STEP, now, now, one[k % 40].statistics, Hindsight(before, 0.0))
        for k, (now, before) in enumerate(zip(speech, [False] * 3 + speech, strict=False))
    ]
    events = [event for record in records for event in tracker.push(record)] + tracker.finish()
    assert_consistent(events, records[-1].end)
    final = [e for e in events if isinstance(e, Segment) and e.state == "final"]
    assert (final[0].start, final[0].end) == (0, 18 * STEP)
    assert final[1].start == 21 * STEP
