"""Risk: diarization is reported better, or earlier, than a listener would have it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from voices import RATE, TRUTH, beginning, model

from edge.errors import EarmarkError
from edge.events import Event, Segment, SpeechStarted, SpeechStopped
from edge.rttm import Turn, read_rttm
from export.conversations import read_conversations
from export.diarization import jaccard_errors, judge, wrong_flips
from export.hearing import Hearing, hear, latencies, seen_at_once

A, B = Turn(0.0, 6.0, "a"), Turn(6.0, 8.0, "b")


def segment(rev: int, speaker: str, end: float, final: bool = False) -> Segment:
    """A revision of the one segment of a stream, from its beginning on."""
    return Segment(0, rev, "final" if final else "provisional", speaker, 0, round(end * RATE))


@st.composite
def conversations(draw: st.DrawFn) -> list[Turn]:
    """Turns of a, b and c on a grid of seconds, in the end of a alone."""
    turns = [Turn(101.0, 103.0, "a")]
    for speaker in "abc"[: draw(st.integers(1, 3))]:
        edges = sorted(draw(st.sets(st.integers(0, 100), min_size=2, max_size=8)))
        pairs = zip(edges[::2], edges[1::2], strict=False)
        turns += [Turn(float(start), float(end), speaker) for start, end in pairs]
    return sorted(turns)


@given(conversations())
def test_other_names_for_the_same_voices_are_no_error(truth: list[Turn]) -> None:
    names = {"a": "speaker2", "b": "speaker3", "c": "speaker1"}
    found = sorted(Turn(t.start, t.end, names[t.speaker]) for t in truth)
    np.testing.assert_allclose(jaccard_errors(truth, found), 0.0)
    assert wrong_flips(truth, found, 103.0) == 0
    rows = judge([Hearing("x", 103.0, truth, [], found, np.zeros(0), np.zeros(0))])
    for row in rows.final:
        assert row.exact.der == pytest.approx(0.0, abs=1e-4)
        assert row.counted == 1.0
    assert rows.at_once[-1].exact.miss == pytest.approx(100.0)
    assert rows.at_once[-1].jer == 100.0


@given(conversations(), conversations())
def test_jaccard_errors_are_shares_one_a_speaker(truth: list[Turn], found: list[Turn]) -> None:
    errors = jaccard_errors(truth, found)
    assert len(errors) == len({turn.speaker for turn in truth})
    assert np.all((errors >= 0.0) & (errors <= 1.0))


def test_the_parts_of_the_error_rates() -> None:
    found = [Turn(0.0, 10.0, "x")]
    np.testing.assert_allclose(jaccard_errors([A, B], found), [0.4, 1.0])
    row = judge([Hearing("x", 10.0, [A, B], [], found, np.zeros(0), np.ones(3))]).final[0]
    rates = row.exact
    parts = (rates.miss, rates.false_alarm, rates.confusion, rates.der)
    assert parts == pytest.approx((0.0, 25.0, 25.0, 50.0), abs=0.01)
    assert (row.speakers, row.speakers_truth, row.counted, row.jer) == (1, 2, 1.0, 70.0)
    assert row.latency == (1.0, 1.0)
    assert row.with_collar.false_alarm == pytest.approx(100 * 1.75 / 7.0, abs=0.01)


def test_a_flip_is_wrong_only_while_the_same_person_goes_on() -> None:
    assert wrong_flips([A, B], [Turn(0.0, 6.0, "x"), Turn(6.0, 8.0, "y")], 10.0) == 0
    late, early = ([Turn(0.0, 6.0 + d, "x"), Turn(6.0 + d, 8.0, "y")] for d in (0.2, -0.2))
    assert wrong_flips([A, B], late, 10.0) == wrong_flips([A, B], early, 10.0) == 0
    assert wrong_flips([A, B], [Turn(0.0, 5.0, "x"), Turn(5.0, 8.0, "y")], 10.0) == 1
    there_and_back = [Turn(0.0, 2.0, "x"), Turn(2.0, 3.0, "y"), Turn(3.0, 8.0, "x")]
    assert wrong_flips([A, B], there_and_back, 10.0) == 2
    over_a_pause = [Turn(0.0, 1.0, "x"), Turn(4.0, 6.0, "y")]
    assert wrong_flips([A, B], over_a_pause, 10.0) == 1
    assert wrong_flips([A, B], [], 10.0) == 0


@pytest.mark.parametrize("length", [0.4, 2.0])
def test_a_turn_of_another_ends_a_persons_though_it_was_missed(length: float) -> None:
    """Nor if it is too short for any of it to be looked at."""
    again = Turn(6.0 + length, 12.0, "a")
    found = [Turn(0.0, 6.0, "x"), Turn(6.0 + length, 12.0, "y")]
    assert wrong_flips([A, Turn(6.0, 6.0 + length, "b"), again], found, 12.0) == 0
    over_it = [Turn(0.0, 12.0, "a"), Turn(6.0, 6.0 + length, "b")]
    assert wrong_flips(over_it, found, 12.0) == 1


def test_what_is_seen_at_once_is_what_was_known_half_a_second_later() -> None:
    log: list[tuple[int, Event]] = [
        (RATE, SpeechStarted(0)),
        (RATE, segment(0, "x", 0.8)),
        (2 * RATE, segment(1, "y", 1.8)),
        (3 * RATE, SpeechStopped(2 * RATE)),
        (9 * RATE, segment(2, "z", 1.8, final=True)),
    ]
    seen = seen_at_once(log, 9.0)
    assert [turn.speaker for turn in seen] == ["x", "y"]
    edges = [(turn.start, turn.end) for turn in seen]
    np.testing.assert_allclose(edges, [(0.5, 1.5), (1.5, 2.5)])


def test_a_turn_of_no_length_is_no_error() -> None:
    """Spyder took the rest of the recording for a false alarm."""
    truth = [Turn(0.0, 5.0, "a")]
    found = [Turn(0.0, 5.0, "x"), Turn(3.0, 3.0, "y")]
    row = judge([Hearing("x", 10.0, truth, [], found, np.zeros(0), np.zeros(0))]).final[0]
    assert row.exact.der == pytest.approx(0.0, abs=1e-4)


def test_a_truth_without_turns_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.flac").touch()
    (tmp_path / "a.rttm").write_text("")
    with pytest.raises(EarmarkError, match=r"a\.rttm holds no turn"):
        read_conversations(tmp_path)


def test_latency_is_of_the_first_and_of_the_final_label() -> None:
    log = [
        (RATE, segment(0, "x", 0.5)),
        (2 * RATE, segment(1, "y", 0.6)),
        (5 * RATE, segment(2, "y", 0.6, final=True)),
    ]
    first, final = latencies(log, 6.0)
    np.testing.assert_allclose(first, [0.9, 0.8, 0.7, 0.6, 0.5, 1.4])
    np.testing.assert_allclose(final, [4.9, 4.8, 4.7, 4.6, 4.5, 4.4])


def test_a_conversation_is_heard_as_a_microphone_gives_it() -> None:
    turns = read_rttm(TRUTH)
    truth = [Turn(t.start, min(t.end, 20.0), t.speaker) for t in turns if t.start < 20.0]
    heard = hear("beginning", model(), [beginning()], truth)
    assert heard.seconds == 20.0
    outcome = judge([heard])
    # Half of the errors at once are the first seconds of each voice.
    assert outcome.final[-1].exact.der < outcome.at_once[-1].exact.der < 25.0
    assert 0.0 < outcome.at_once[-1].latency[0] < outcome.final[-1].latency[0] < 20.0
    assert heard.first_latency.min() >= 0.0
