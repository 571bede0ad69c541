"""Risk: diarization is tuned on meetings whose truth is wrong, or on voices of the training."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from tiny_corpus import ASSETS, RATE, build_corpus

from edge.errors import EarmarkError
from edge.rttm import Turn
from train.cast import casting_chances, of_one_sitting
from train.manifest import Utterance, is_held_out, read_manifest
from train.rooms import seat_responses
from train.simulate import (
    PHRASE,
    Meeting,
    _over_line,
    _Voice,
    phrases,
    simulate_meeting,
    without_pauses,
)
from train.turn_taking import LONGEST_SILENCE, _closed_up, read_timings, turn_taking, with_overlap


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Utterance], Path]:
    """The held-out voices of the tiny corpus, and the timing of the bundled conversation."""
    folder = build_corpus(tmp_path_factory.mktemp("meetings") / "corpus")
    return held_out(folder), folder


def held_out(corpus: Path) -> list[Utterance]:
    return [u for u in read_manifest(corpus / "train.csv") if is_held_out(u.speaker)]


def heard(meeting: Meeting) -> np.ndarray:
    return np.concatenate(list(meeting.blocks()))


def check(meeting: Meeting, speakers: int) -> None:
    """Whether the truth is true of the sound, and of so many held-out voices of one corpus."""
    audio = heard(meeting)
    assert audio.shape == (round(meeting.seconds * RATE),)
    assert audio.dtype == np.float32
    assert np.abs(audio).max() <= 1.0
    assert meeting.turns == sorted(meeting.turns)
    names = {turn.speaker for turn in meeting.turns}
    assert names <= set(meeting.cast)
    assert len(meeting.cast) == speakers
    assert all(is_held_out(name) for name in names)
    assert len({name.split("/")[0] for name in names}) == 1
    spoken, silent = np.zeros((2, len(audio)), dtype=bool)
    for turn in meeting.turns:
        assert 0.0 <= turn.start < turn.end <= meeting.seconds + 1e-6
        spoken[int(turn.start * RATE) : int(turn.end * RATE)] = True
        silent[int(turn.start * RATE) : int((turn.end + 1.0) * RATE)] = True
    if not silent.all():
        assert rms(audio[~silent]) < 0.5 * rms(audio[spoken]), "noise alone where nobody speaks"


def rms(audio: np.ndarray) -> float:
    return float(np.sqrt(np.mean(audio**2)))


@pytest.mark.parametrize("seed", range(4))
def test_a_meeting_is_what_its_truth_says(tiny: tuple[list[Utterance], Path], seed: int) -> None:
    meeting = simulate_meeting(*tiny, speakers=3, seconds=70.0, seed=seed)
    check(meeting, 3)
    assert len({turn.speaker for turn in meeting.turns}) == 3


def test_a_seed_gives_the_same_meeting_twice_and_another_one_another(
    tiny: tuple[list[Utterance], Path],
) -> None:
    first, again, other = (
        simulate_meeting(*tiny, speakers=4, seconds=15.0, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(heard(first), heard(again))
    np.testing.assert_array_equal(heard(first), heard(first))
    assert first == again
    assert first.turns != other.turns


def test_more_speakers_than_any_corpus_has_are_refused(
    tiny: tuple[list[Utterance], Path], tmp_path: Path
) -> None:
    with pytest.raises(EarmarkError, match="a meeting of 5 needs as many speakers"):
        simulate_meeting(*tiny, speakers=5, seconds=15.0, seed=0)
    with pytest.raises(EarmarkError, match="no RTTM files"):
        simulate_meeting(tiny[0], tmp_path, speakers=2, seconds=15.0, seed=0)


def test_a_voice_repeats_nothing_before_all_is_used(tmp_path: Path) -> None:
    tones = {}
    for hertz in (200, 400, 800):
        tones[hertz] = 0.1 * np.sin(2 * np.pi * hertz * np.arange(2 * RATE) / RATE)
        soundfile.write(tmp_path / f"{hertz}.wav", tones[hertz], RATE)
    impulse = np.ones(1, dtype=np.float32)
    voice = _Voice(sorted(tmp_path.glob("*.wav")), impulse, np.random.default_rng(0))
    for _ in range(3):
        said = [np.abs(np.fft.rfft(voice.say(2 * RATE))).argmax() / 2 for _ in tones]
        assert sorted(said) == sorted(tones)


def test_nobody_recites_what_they_say_again(tmp_path: Path) -> None:
    """Whoever has one recording says all of it each time, and in another order."""
    tones = [200 * 2**i for i in range(5)]
    parts = [0.1 * np.sin(2 * np.pi * hertz * np.arange(PHRASE) / RATE) for hertz in tones]
    for part in parts:
        part[: RATE // 50] = 0.0
    soundfile.write(tmp_path / "one.wav", np.concatenate(parts), RATE)
    impulse = np.ones(1, dtype=np.float32)
    voice = _Voice([tmp_path / "one.wav"], impulse, np.random.default_rng(0))
    orders = set()
    for _ in range(4):
        said = voice.say(5 * PHRASE).reshape(5, PHRASE)
        loudest = np.abs(np.fft.rfft(said)).argmax(axis=1) * RATE / PHRASE
        assert sorted(np.round(loudest)) == tones
        orders.add(tuple(np.round(loudest)))
    assert len(orders) == 4


@given(seconds=st.floats(0.1, 20.0), seed=st.integers(0, 2**31 - 1))
def test_phrases_are_all_that_was_said(seconds: float, seed: int) -> None:
    speech = np.random.default_rng(seed).standard_normal(round(seconds * RATE), dtype=np.float32)
    parts = phrases(speech)
    np.testing.assert_array_equal(np.concatenate(parts), speech)
    assert len(parts) == max(1, round(len(speech) / PHRASE))
    assert all(PHRASE / 4 < len(part) < 2 * PHRASE for part in parts[:-1])


def test_phrases_end_where_it_is_quiet() -> None:
    speech = np.ones(2 * PHRASE, dtype=np.float32)
    quiet = slice(PHRASE - RATE // 4, PHRASE - RATE // 5)
    speech[quiet] = 0.0
    first, _ = phrases(speech)
    assert quiet.start < len(first) < quiet.stop


def test_a_turn_sounds_from_its_start_to_its_end_and_then_rings(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal(2 * RATE) * 0.1
    soundfile.write(tmp_path / "noise.wav", noise, RATE)
    response = np.zeros(4000, dtype=np.float32)
    response[[0, 3999]] = 1.0, 0.1
    voice = _Voice([tmp_path / "noise.wav"], response, np.random.default_rng(0))
    said = voice.say(RATE)
    assert len(said) == RATE + 3999
    direct, tail = rms(said[200 : RATE - 200]), rms(said[RATE + 100 : -200])
    assert tail == pytest.approx(0.1 * direct, rel=0.1)
    assert abs(said[0]) < 0.01 * direct, "no click where a turn begins in mid-word"


def test_pauses_are_cut_and_nothing_else() -> None:
    tone = (np.sin(np.arange(RATE)) * 0.1).astype(np.float32)
    quiet = np.full(RATE // 2, 1e-4, dtype=np.float32)
    speech = without_pauses(np.concatenate([quiet, tone, quiet, tone, quiet]))
    assert len(speech) == 2 * RATE + 4 * 1600
    assert rms(speech) == pytest.approx(1.0, rel=1e-3)
    assert len(without_pauses(tone)) == RATE


def test_a_telephone_carries_no_high_tones_and_a_wide_line_all() -> None:
    tones = {
        f: np.sin(2 * np.pi * f * np.arange(RATE) / RATE).astype(np.float32) for f in (1000, 6000)
    }
    assert rms(_over_line(tones[6000], True)) < 0.01
    assert rms(_over_line(tones[1000], True)) == pytest.approx(rms(tones[1000]), rel=0.01)
    assert _over_line(tones[6000], False) is tones[6000]


def test_seats_of_a_room_sound_different_and_the_same_every_time() -> None:
    first, second = seat_responses(2, seed=3)
    assert len(first) != len(second) or not np.allclose(first, second)
    np.testing.assert_array_equal(seat_responses(2, seed=3)[0], first)


@given(speakers=st.integers(1, 20), seconds=st.floats(5.0, 1200.0), seed=st.integers(0, 2**31 - 1))
def test_turns_are_in_order_within_the_meeting_and_of_its_speakers(
    speakers: int, seconds: float, seed: int
) -> None:
    timings = read_timings(ASSETS)
    turns = turn_taking(timings, speakers, seconds, np.random.default_rng(seed))
    assert turns == sorted(turns)
    assert {turn.speaker for turn in turns} <= {str(i) for i in range(speakers)}
    assert all(0.0 <= turn.start < turn.end <= seconds + 1e-6 for turn in turns)


def test_all_of_a_large_round_get_to_speak() -> None:
    random = np.random.default_rng(0)
    for speakers in (2, 4, 8, 20):
        turns = turn_taking(read_timings(ASSETS), speakers, 40.0 * speakers, random)
        assert len({turn.speaker for turn in turns}) == speakers


@given(speakers=st.integers(2, 8), seed=st.integers(0, 2**31 - 1))
def test_people_talk_over_each_other_and_never_over_themselves(speakers: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    turns = turn_taking(read_timings(ASSETS), speakers, 60.0, random)
    talk = with_overlap(turns, random)
    assert talk == sorted(talk)
    assert all(turn.end > turn.start >= 0.0 for turn in talk)
    assert max(turn.end for turn in talk) <= 60.0 + 1e-6
    for speaker in {turn.speaker for turn in talk}:
        own = [turn for turn in talk if turn.speaker == speaker]
        assert all(one.end <= other.start for one, other in pairwise(own))


def test_a_tenth_or_two_of_lively_talk_is_overlapped() -> None:
    random = np.random.default_rng(0)
    both = spoken = 0.0
    for _ in range(10):
        talk = with_overlap(turn_taking(read_timings(ASSETS), 4, 300.0, random), random)
        events = sorted([(t.start, 1) for t in talk] + [(t.end, -1) for t in talk])
        voices = 0
        for (time, step), (later, _) in pairwise(events):
            voices += step
            spoken += (later - time) * (voices > 0)
            both += (later - time) * (voices > 1)
    assert 0.05 < both / spoken < 0.25


def test_long_silences_are_closed_up_and_overlaps_stay() -> None:
    turns = [Turn(10.0, 12.0, "a"), Turn(11.5, 13.0, "b"), Turn(40.0, 41.0, "a")]
    shifted = 13.0 - 10.0 + 2 * LONGEST_SILENCE
    assert _closed_up(turns) == [
        Turn(LONGEST_SILENCE, LONGEST_SILENCE + 2.0, "a"),
        Turn(LONGEST_SILENCE + 1.5, LONGEST_SILENCE + 3.0, "b"),
        Turn(shifted, shifted + 1.0, "a"),
    ]


def test_the_sound_does_not_depend_on_where_blocks_meet(
    tiny: tuple[list[Utterance], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = simulate_meeting(*tiny, speakers=2, seconds=50.0, seed=5)
    whole = heard(meeting)
    monkeypatch.setattr("train.simulate.BLOCK", 7 * RATE)
    np.testing.assert_allclose(heard(meeting), whole, atol=1e-6)


@pytest.mark.corpus
@pytest.mark.parametrize("speakers", [2, 4, 8, 20])
def test_meetings_of_real_voices_in_real_turn_taking(corpus: Path, speakers: int) -> None:
    voices = held_out(corpus)
    check(simulate_meeting(voices, corpus, speakers, seconds=120.0, seed=speakers), speakers)


def clip(speaker: str, name: str, seconds: float, corpus: str = "common_voice") -> Utterance:
    return Utterance(Path(f"{speaker}/{name}.opus"), speaker, corpus, seconds)


def test_nobody_changes_their_microphone_in_a_meeting() -> None:
    """Clips of Common Voice with near numbers are of one sitting; of other corpora all are."""
    day = [clip("ada", f"fi_{number}", 4.0) for number in (1203, 700, 1700)]
    other_day = clip("ada", "fi_5000", 9.0)
    book = [clip("bob", f"chapter_{n}", 3.0, "librispeech") for n in (1, 5000)]
    unnumbered = [clip("eve", "first", 2.0), clip("eve", "second", 2.0)]
    everybody = [*day[:2], other_day, *book, day[2], *unnumbered]
    assert of_one_sitting(everybody) == [*day[:2], *book, day[2], *unnumbered]
    longest = clip("ada", "fi_90000", 12.5)
    assert of_one_sitting([*day, longest]) == [longest]
    assert of_one_sitting([]) == []


def test_a_corpus_of_few_voices_is_heard_less_often() -> None:
    np.testing.assert_allclose(casting_chances(["a" * 9, "b" * 36]), [1 / 3, 2 / 3])
