"""The tracker runs for months: its memory is bounded, and its positions do not wrap around."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from voices import RATE, TRUTH, ada, assert_consistent, conversation, model

from edge.change import side_lengths
from edge.config_file import parse_config
from edge.errors import EarmarkError
from edge.events import Event, Segment, SourceOverflow, SpeakerCreated, SpeakerMerged
from edge.gate import GateConfig
from edge.horizon import Horizon
from edge.pipeline import Pipeline, PipelineConfig
from edge.records import Hindsight, Record, all_records
from edge.rttm import read_rttm
from edge.scoring import Directions, Match, OperatingPoint, match_all
from edge.speakers import SpeakerBook, twins
from edge.statistics import Profile, Sums
from edge.stretch import Stretch
from edge.tracker import Tracker
from edge.tracker_config import MAX_STRETCHES, HorizonConfig, TrackerConfig
from edge.voices import UNKNOWN, Score, Voices, standing, usual_odds

STEP = 1600  # samples of a record


@cache
def recorded() -> list[Record]:
    return all_records(model(), GateConfig(), conversation())


@cache
def spoken() -> dict[str, list[Sums]]:
    """Statistics of each voice's longer turns in the bundled conversation."""
    turns: dict[str, list[Sums]] = {}
    for turn in read_rttm(TRUTH):
        inside = [
            r.statistics
            for r in recorded()
            if r.speech and r.start >= turn.start * RATE and r.end <= turn.end * RATE
        ]
        if turn.end - turn.start > 3.0:
            turns.setdefault(turn.speaker, []).append(np.sum(inside, axis=0))
    return turns


def after_settling(*voices: Sums) -> tuple[SpeakerBook, Horizon]:
    """A horizon behind which each of these was settled as a voice, speaker1 and so on."""
    book = SpeakerBook(model(), [])
    for statistics in voices:
        book.learn(book.new_name(), statistics)
    return book, Horizon(model(), book, HorizonConfig(), OperatingPoint())


def without_end(records: list[Record], count: int) -> Iterator[Record]:
    """`count` records, the given ones over and over, each behind the one before."""
    for k in range(count):
        record = records[k % len(records)]
        yield dataclasses.replace(record, start=k * STEP, end=(k + 1) * STEP)


def tracker(config: TrackerConfig) -> Tracker:
    return Tracker(model(), [ada()], config, OperatingPoint())


def test_a_voice_that_never_pauses_is_cut() -> None:
    told = Hindsight(speech=True, overlap=0.0)
    speech = [dataclasses.replace(r, hindsight=told) for r in recorded() if r.speech]
    steady = tracker(TrackerConfig(max_segment=50, change_llr=-1e9))
    events: list[Event] = []
    for record in without_end(speech[5:30], 400):
        events += steady.push(record)
        assert len(steady._open.records) <= 50
    events += steady.finish()
    assert_consistent(events, 400 * STEP)
    finals = [e for e in events if isinstance(e, Segment) and e.state == "final"]
    assert len(finals) == 8
    assert {e.end - e.start for e in finals} == {50 * STEP}


@given(least=st.integers(1, 60), most=st.integers(1, 400))
def test_changes_are_sought_at_few_even_distances(least: int, most: int) -> None:
    lengths = side_lengths(least, most)
    assert (lengths % 2 == 0).all()
    assert (np.diff(lengths) > 0).all()
    assert least <= lengths[0] <= least + 1
    assert lengths[-1] <= max(least, most) + 1
    assert (lengths[1:] <= 1.35 * lengths[:-1] + 3).all(), "no voice slips through between two"
    assert len(lengths) <= 25


def test_a_crowd_is_bounded() -> None:
    """No stretch is ever recognised, and no two voices are ever one."""
    config = HorizonConfig(merge_llr=1e9, max_speakers=5, new_speech=1.0)
    crowd = tracker(TrackerConfig(horizon=config))
    events: list[Event] = []
    for record in without_end(recorded(), 2 * len(recorded())):
        events += crowd.push(record)
        assert sum(not voice.enrolled for voice in crowd.voices) <= 5
    events += crowd.finish()
    assert_consistent(events, 2 * len(recorded()) * STEP)
    assert sum(isinstance(e, SpeakerCreated) for e in events) >= 4


def test_who_is_enrolled_takes_no_other_voice_its_room() -> None:
    full = tracker(TrackerConfig(horizon=HorizonConfig(max_speakers=1, merge_llr=1e9)))
    events = [e for r in recorded()[:200] for e in full.push(r)] + full.finish()
    assert_consistent(events, len(conversation()))
    assert any(isinstance(e, SpeakerCreated) for e in events)


def test_a_newcomer_takes_the_place_of_the_voice_heard_least() -> None:
    """Not of one that is still heard; and no number is given twice."""
    far = HorizonConfig(max_speakers=2, seconds=1.0)
    full = Tracker(model(), [], TrackerConfig(horizon=far), OperatingPoint())
    events = [e for r in recorded() for e in full.push(r)] + full.finish()
    created = [e.speaker for e in events if isinstance(e, SpeakerCreated)]
    assert len(created) > 2
    assert created == sorted(set(created), key=created.index)
    assert len(full.voices) <= 2
    spoken = {e.speaker for e in events if isinstance(e, Segment) and e.state == "final"}
    assert len(spoken) > 2


def test_the_enrolled_are_never_compared_with_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Thousands of them would take a matrix of millions at every closed segment."""
    compared: list[int] = []

    def note(first: Directions, second: Directions) -> Match:
        compared.append(len(first.units) * len(second.units))
        return match_all(first, second)

    monkeypatch.setattr("edge.clustering.match_all", note)
    crowd = [Profile(f"v{i}", (1.0 + i) * ada().statistics) for i in range(300)]
    full = Tracker(model(), crowd, TrackerConfig(), OperatingPoint())
    events = [e for r in recorded() for e in full.push(r)] + full.finish()
    assert_consistent(events, len(conversation()))
    assert compared
    assert max(compared) < 300 * 100


def stretch(number: int, end: int, statistics: Sums, speaker: str) -> Stretch:
    embedding = model().embed(statistics[None])[0]
    return Stretch(number, 0, end - RATE, end, statistics, embedding, speaker)


def test_looking_back_lists_all_voices_as_often_however_many_are_enrolled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They were listed for each of them: of five thousand, two seconds at every segment."""
    calls = [0]

    def names(book: SpeakerBook) -> list[str]:
        calls[0] += 1
        return [voice.name for voice in book.voices]

    monkeypatch.setattr(SpeakerBook, "names", property(names))
    listings = []
    for count in (4, 40):
        profiles = [Profile(f"p{k}", spoken()["callum"][0]) for k in range(count)]
        book = SpeakerBook(model(), profiles)
        horizon = Horizon(model(), book, HorizonConfig(), OperatingPoint())
        calls[0] = 0
        horizon.add(stretch(0, 3 * RATE, spoken()["ada"][0], UNKNOWN))
        listings.append(calls[0])
    assert listings[0] == listings[1]


def test_as_many_voices_are_looked_at_however_many_are_enrolled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A score was made of each at every look: of ten thousand, half of the time of the audio."""
    looked_at: list[str] = []

    def score(speaker: str, llr: float) -> Score:
        looked_at.append(speaker)
        return Score(speaker, llr)

    monkeypatch.setattr("edge.voices.Score", score)
    for count in (4, 40):
        others = [Profile(f"p{k}", spoken()["callum"][0]) for k in range(count)]
        book = SpeakerBook(model(), [*others, Profile("ada", spoken()["ada"][0])])
        voices = Voices(model(), book.voices, usual_odds(model()))
        ranked = voices.rank(spoken()["ada"][0])
        assert voices.likeliest(ranked, 0.0) == "ada"
        assert standing("ada", ranked).runner_up == "p0"
        assert voices.likeliest(voices.rank(spoken()["ada"][0]), 1e3, 1e3) == UNKNOWN
    assert len(looked_at) < 20


def test_one_voice_under_two_numbers_becomes_one() -> None:
    """Two settled numbers for one voice are merged, once; another voice keeps its own."""
    (first, second, *_), other = spoken()["ada"], spoken()["callum"][0]
    book, horizon = after_settling(other, first, second)
    assert twins(model(), book.voices, "speaker1", usual_odds(model()), 0.0) is None
    pair = twins(model(), book.voices, "speaker3", usual_odds(model()), 0.0)
    assert pair == ("speaker2", "speaker3")
    horizon._stretches = [stretch(1, 3 * RATE, second, "speaker3")]
    events = horizon._fuse(stretch(0, 3 * RATE, second, "speaker3"))
    assert events[0] == SpeakerMerged(3 * RATE, "speaker3", "speaker2")
    assert [(e.speaker, e.rev) for e in events[1:] if isinstance(e, Segment)] == [("speaker2", 1)]
    assert book.names == ["speaker1", "speaker2"]


def test_a_new_voice_is_known_by_all_it_says() -> None:
    """Its first stretch, half another's, must not make it that other one for good."""
    ada_says, other_says = (spoken()[name] for name in ("ada", "callum"))
    mixed = ada_says[1] + other_says[0]
    _, horizon = after_settling(ada_says[0], mixed)
    settled = stretch(0, 3 * RATE, mixed, "speaker2")
    assert horizon._fuse(settled)[0] == SpeakerMerged(3 * RATE, "speaker2", "speaker1")

    book, horizon = after_settling(ada_says[0], mixed)
    lately = np.sum(other_says[1:], axis=0)
    horizon._stretches = [stretch(1, 9 * RATE, lately, "speaker2")]
    horizon._sum_voices()
    assert horizon._fuse(settled) == []
    assert book.names == ["speaker1", "speaker2"]


def test_a_pause_tells_how_far_a_segment_has_come() -> None:
    """At once, not when the pause has lasted so long that the segment is closed."""
    live = tracker(TrackerConfig())
    told = 0
    for record in recorded():
        segments = [e for e in live.push(record) if isinstance(e, Segment)]
        if not record.speech and live._shown is not None:
            assert live._shown.end == live._open.end
            told += len(segments) == 1 and segments[0].state == "provisional"
    assert told >= 3


def test_minutes_of_speech_and_noise_leave_no_trace_but_speakers() -> None:
    random = np.random.default_rng(1)
    stream = Pipeline(model(), [ada()], PipelineConfig())
    events: list[Event] = []
    for _ in range(2):
        for samples in (conversation(), random.normal(0, 0.1, 5 * RATE), np.zeros(2 * RATE)):
            for start in range(0, len(samples), 4000):
                events += stream.push(samples[start : start + 4000].astype(np.float32))
                records = stream._records
                assert len(records._waiting) <= 4
                assert len(records._marks) <= 30
                assert len(records._encoder._waiting) < model().spec.frames_per_chunk
                assert len(stream._tracker._open.records) <= stream.config.tracker.max_segment
    events += stream.flush()
    assert_consistent(events, stream.position)
    assert stream.speakers <= stream.config.tracker.horizon.max_speakers
    assert stream._tracker._open.records == []


@pytest.mark.parametrize(("power", "seconds"), [(31, 120.0), (32, 120.0), (53, 120.0), (58, 0.0)])
def test_positions_do_not_wrap_around(power: int, seconds: float) -> None:
    """Nor are they rounded as floats are: the end of a stretch would lie before itself."""
    tracker = TrackerConfig(horizon=HorizonConfig(seconds=seconds))
    stream = Pipeline(model(), [ada()], PipelineConfig(tracker=tracker))
    lost = 2**power - 3 * RATE - 200  # so that floats round the ends up
    events = stream.skip(lost, SourceOverflow)
    events += stream.push(conversation()[: 8 * RATE]) + stream.flush()
    end = lost + 8 * RATE
    assert_consistent(events, end)
    segments = [e for e in events if isinstance(e, Segment)]
    assert segments[0].start < 2**power < segments[-1].end <= end
    assert all(isinstance(p, int) for e in segments for p in (e.start, e.end))


@pytest.mark.parametrize("key", ["max_gap", "max_segment", "max_unknown", "look_back", "recent"])
def test_settings_that_make_no_tracker(key: str) -> None:
    with pytest.raises(EarmarkError, match=f"tracker.{key} is 0"):
        parse_config(TrackerConfig, {key: 0}, "test")


@pytest.mark.parametrize(
    ("key", "value"), [("stretches", 0), ("stretches", MAX_STRETCHES + 1), ("max_speakers", 0)]
)
def test_settings_that_make_no_horizon(key: str, value: int) -> None:
    with pytest.raises(EarmarkError, match=f"horizon.{key} is {value}"):
        parse_config(HorizonConfig, {key: value}, "test")


@pytest.mark.parametrize(("heard", "created"), [(5.0, 1), (50.0, 0), (100.0, 0)])
def test_a_voice_of_two_seconds_is_somebody_only_while_little_was_said(
    heard: float, created: int
) -> None:
    """As it is when people introduce themselves; later, it is likelier somebody known."""
    turn = next(t for t in read_rttm(TRUTH) if t.speaker == "ben")
    begin = round(turn.start * RATE)
    audio = conversation()[begin : begin + round(2.4 * RATE)]
    records = all_records(model(), GateConfig(), np.pad(audio, (0, 2 * RATE)))
    statistics = ada().statistics
    one = Tracker(model(), [ada()], TrackerConfig(), OperatingPoint())
    book = one._horizon._book
    book.learn(book.new_name(), statistics * (heard / float(model().seconds(statistics))))
    events = [e for r in records for e in one.push(r)] + one.finish()
    assert sum(isinstance(e, SpeakerCreated) for e in events) == created
