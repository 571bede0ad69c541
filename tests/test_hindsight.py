"""Risk: what is known better a little later is not put right, or in the wrong place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from voices import RATE, beginning, conversation, model, two_voices

from edge.events import Event, Segment
from edge.gate import GateConfig
from edge.open_segment import OpenSegment
from edge.pipeline import PipelineConfig
from edge.records import Hindsight, Record, all_records
from edge.tracker import Tracker
from edge.turns import turns_from_events

STEP = 1600  # samples of a record
AFTER = 3  # records


def record(place: int, speech: bool = True, hindsight: bool = True) -> Record:
    statistics = np.array([5.0, place])
    start = place * STEP
    return Record(
        start, start + STEP, speech, speech, statistics, Hindsight(hindsight, 0.1 * place)
    )


def final(events: list[Event]) -> list[Segment]:
    return [e for e in events if isinstance(e, Segment) and e.state == "final"]


def fresh() -> Tracker:
    config = PipelineConfig()
    return Tracker(model(), [], config.tracker, config.operating_point)


def heard_by(tracker: Tracker, records: list[Record]) -> list[Event]:
    return [e for r in records for e in tracker.push(r)] + tracker.finish()


def segments(records: list[Record]) -> list[Segment]:
    return final(heard_by(fresh(), records))


def spoken(speech: str, later: str = "") -> list[Record]:
    """Records of one voice in speech, marked `#` or `.` at once, and so in hindsight."""
    later = later or speech
    assert len(later) == len(speech)
    voice = next(r for r in all_records(model(), GateConfig(), conversation()) if r.speech)
    return [
        Record(
            k * STEP,
            (k + 1) * STEP,
            mark == "#",
            mark == "#",
            voice.statistics,
            Hindsight(k >= AFTER and later[k - AFTER] == "#", 0.0),
        )
        for k, mark in enumerate(speech)
    ]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30))
def test_an_open_segment_is_what_is_known_best_of_each_record(
    marks: list[tuple[bool, bool]],
) -> None:
    segment, known = OpenSegment(), [speech for speech, _ in marks]
    pushed = [record(place, speech) for place, (speech, _) in enumerate(marks)]
    for place, newest in enumerate(pushed):
        if place >= AFTER:
            known[place - AFTER] = marks[place - AFTER][1]
            hindsight = Hindsight(known[place - AFTER], 0.1 * (place - AFTER))
            only = [r.start for r in segment.records] == [pushed[place - AFTER].start]
            segment.amend(pushed[place - AFTER], hindsight)
            known[place - AFTER] |= only
        if newest.speech:
            segment.append(newest)
    expected = [r for r, speech in zip(pushed, known, strict=True) if speech]
    assert segment.records == expected
    if expected:
        sums = np.cumsum([r.statistics for r in expected], axis=0)
        assert np.array_equal(np.stack(segment.totals), sums)
        assert (segment.start, segment.end) == (expected[0].start, expected[-1].end)
    told = max(0, len(marks) - AFTER)
    settled = [
        overlap
        for r, overlap in zip(expected, segment.overlap, strict=True)
        if r.start < told * STEP
    ]
    assert settled == [0.1 * (r.start // STEP) for r in expected if r.start < told * STEP]
    guessed = segment.overlap[len(settled) :]
    if told and known[told - 1]:  # taken to be as in the last of which it is known
        assert set(guessed) <= {0.1 * (told - 1)}


@given(st.integers(2, 20), st.integers(0, 20))
def test_a_segment_that_is_split_loses_nothing(count: int, place: int) -> None:
    segment = OpenSegment()
    for k in range(count):
        segment.append(record(k))
        segment.amend(record(k), record(k).hindsight)
    totals = list(segment.totals)
    newer = segment.split(min(place, count))
    assert [r.start // STEP for r in [*segment.records, *newer.records]] == list(range(count))
    assert segment.totals == totals[: len(segment)]
    if len(newer):
        before = segment.totals[-1] if len(segment) else 0.0
        np.testing.assert_allclose(before + newer.totals[-1], totals[-1])
    np.testing.assert_allclose([*segment.overlap, *newer.overlap], 0.1 * np.arange(count))


@pytest.mark.parametrize(
    ("speech", "later", "spans"),
    [
        ("..########........", "..########........", [(2, 10)]),
        ("..########........", "..######..........", [(2, 8)]),  # it had ended before
        ("..########........", "..##########......", [(2, 12)]),  # it had not
        ("...#######........", "..########........", [(2, 10)]),  # its first sound was missed
        (".########.........", "...######.........", [(3, 9)]),  # or was none
        ("..####....####........", "..####.##.####........", [(2, 14)]),  # a pause
        ("..####.....####.......", "..####.....####.......", [(2, 6), (11, 15)]),
        ("..####.....####.......", "..######...####.......", [(2, 15)]),
        ("..##..............", "..................", [(3, 4)]),  # shown: so it was somewhere
        ("..................", "..###.............", [(2, 5)]),
        ("..................", "..##..............", []),  # too short to be taken for speech
    ],
)
def test_the_edges_of_a_segment_are_put_right(
    speech: str, later: str, spans: list[tuple[int, int]]
) -> None:
    found = segments(spoken(speech, later))
    assert [(s.start // STEP, s.end // STEP) for s in found] == spans


def test_a_segment_that_has_closed_stays_as_it_was() -> None:
    records = spoken("#" * 121 + "." * 9)
    told = replace(records[41], hindsight=Hindsight(False, 1.0))  # of 38, and at 40 it was cut
    assert segments([*records[:41], told, *records[42:]]) == segments(records)


@pytest.mark.parametrize("detector", ["neural", "webrtc", "both"])
def test_hindsight_is_of_the_record_that_it_is_taken_for(detector: str) -> None:
    config = GateConfig(detector=detector)  # type: ignore[arg-type]
    records = all_records(model(), config, conversation())
    speech = np.array([r.speech for r in records[:-AFTER]])
    later = np.array([r.hindsight.speech for r in records[AFTER:]])
    assert not any(r.hindsight.speech for r in records[:AFTER])
    if detector == "webrtc":
        assert np.array_equal(speech, later), "it has no second thoughts"
        assert all(r.evidence == r.speech for r in records), "nor doubts"
    shifts = {d: np.mean(np.roll(later, d)[5:-5] == speech[5:-5]) for d in range(-3, 4)}
    assert max(shifts, key=shifts.__getitem__) == 0, shifts
    assert shifts[0] > 0.9


def test_a_break_in_the_stream_takes_its_hindsight_along() -> None:
    tracker = fresh()
    events = heard_by(tracker, spoken("#" * 20))
    moved = 100 * STEP
    shifted = [replace(r, start=r.start + moved, end=r.end + moved) for r in spoken("." * 30)]
    shifted = [replace(r, hindsight=Hindsight(k < AFTER, 1.0)) for k, r in enumerate(shifted)]
    events += heard_by(tracker, shifted)
    assert [(s.start // STEP, s.end // STEP) for s in final(events)] == [(0, 20)]


def test_both_voices_are_told_of_the_time_at_which_they_speak() -> None:
    """Two voices at once from a second and a half on, over one that goes on."""
    one, other = two_voices()
    one, begin, count = one.copy(), RATE * 3 // 2, RATE * 3 // 2
    one[begin:][:count] += other[:count]
    records = all_records(model(), GateConfig(), one)
    heard = np.array([r.hindsight.overlap for r in records])
    truth = np.zeros(len(records))
    truth[15:30] = 1.0
    shifts = {d: np.corrcoef(np.roll(truth, d), heard)[0, 1] for d in range(-6, 10)}
    assert abs(max(shifts, key=shifts.__getitem__) - AFTER) <= 1, shifts


def test_turns_do_not_depend_on_when_they_were_put_right() -> None:
    """Hindsight that agrees with what was said at once changes nothing but overlaps."""
    records = all_records(model(), GateConfig(), beginning())
    agreeing = [
        replace(r, hindsight=Hindsight(k >= AFTER and records[k - AFTER].speech, 0.0))
        for k, r in enumerate(records)
    ]
    events = heard_by(fresh(), agreeing)
    spans = [(round(t.start * RATE), round(t.end * RATE)) for t in turns_from_events(events)]
    for record in records:
        covered = any(start <= record.start and record.end <= end for start, end in spans)
        assert covered or not record.speech
