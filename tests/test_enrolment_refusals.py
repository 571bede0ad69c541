"""Risk: a recording that does not stand for its speaker's voice gets into the profile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from voices import (
    CONVERSATION,
    ENROLMENT,
    RATE,
    TRUTH,
    Samples,
    ada,
    beginning,
    conversation,
    in_blocks,
    model,
)

from edge.audio import read_audio
from edge.cli import main
from edge.findings import EnrolmentLimits, Likeness, examine
from edge.quality import MAX_PARTS, Quality, QualityMeter, measure
from edge.rttm import read_rttm
from edge.statistics import Profile
from edge.store import Store

PADDING = RATE  # of pause before and after, so that there is noise to be measured


def voice(speaker: str) -> Samples:
    """The turns of one of the four voices, one after the other."""
    turns = [turn for turn in read_rttm(TRUTH) if turn.speaker == speaker]
    cut = [conversation()[int(t.start * RATE) : int(t.end * RATE)] for t in turns]
    return np.concatenate(cut)


def enrolment() -> Samples:
    return np.pad(read_audio(ENROLMENT), PADDING)


def quiet(samples: Samples, level: float) -> Samples:
    """At that level in dBFS, as 16-bit samples."""
    gain = 10.0 ** ((level - measure(model(), [samples]).level) / 20.0)
    steps: Samples = np.rint(samples * np.float32(gain * 32768.0))
    return steps / np.float32(32768.0)


def clipped(samples: Samples, overdrive: float) -> Samples:
    """Driven so many dB over full scale."""
    gain = 10.0 ** (overdrive / 20.0) / np.abs(samples).max()
    driven: Samples = np.clip(samples * gain, -1.0, 1.0).astype(np.float32)
    return driven


def noisy(samples: Samples, snr: float) -> Samples:
    """With white noise so many dB below the speech."""
    level = measure(model(), [samples]).level - snr
    noise = np.random.default_rng(0).standard_normal(len(samples), dtype=np.float32)
    return samples + noise * np.float32(10.0 ** (level / 20.0))


def at_once(first: str, second: str) -> Samples:
    """Two voices, one over the other."""
    together = min(len(voice(first)), len(voice(second)))
    return (voice(first)[:together] + voice(second)[:together]) * np.float32(0.5)


def of(samples: Samples) -> Quality:
    return measure(model(), [samples])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """It knows ada."""
    path = tmp_path / "speakers.db"
    with Store(path, model()) as opened:
        opened.enrol(ada())
    return path


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Samples], Path]:
    def written(samples: Samples) -> Path:
        path = tmp_path / "x.wav"
        soundfile.write(path, samples, RATE, subtype="PCM_16")
        return path

    return written


REFUSALS = {
    "level of the speech is -6": lambda: quiet(enrolment(), -65.0),
    "clipped part of the speech is": lambda: clipped(enrolment(), 18.0),
    "SNR is": lambda: noisy(enrolment(), 4.0),
    "second voice's part of the speech is": lambda: np.concatenate([enrolment(), voice("ben")]),
    "probability of voices at once is": lambda: at_once("ada", "ben"),
    "llr with what is known of ada is -": lambda: voice("ben"),
    "expected speech, heard none": lambda: np.zeros(5 * RATE, dtype=np.float32),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_what_is_refused_is_told_and_changes_nothing(
    reason: str,
    store: Path,
    write: Callable[[Samples], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = store.read_bytes()
    path = write(REFUSALS[reason]())
    assert main(["enroll", "ada", str(ENROLMENT), str(path), "--store", str(store)]) == 1
    shown = capsys.readouterr()
    (complaint,) = shown.err.splitlines()
    assert shown.out == ""
    assert complaint.startswith(f"earmark: {path}: ")
    for word in (reason, "expected", "; nothing was changed. "):
        assert word in complaint
    assert store.read_bytes() == before


def test_each_of_several_reasons_is_told(
    tmp_path: Path, write: Callable[[Samples], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = write(clipped(np.concatenate([enrolment(), voice("ben")]), 18.0))
    fresh = tmp_path / "fresh.db"
    assert main(["enroll", "ada", str(bad), "--store", str(fresh)]) == 1
    (complaint,) = capsys.readouterr().err.splitlines()
    assert "clipped part" in complaint
    assert "second voice's part" in complaint
    assert not fresh.exists()


def test_the_recordings_of_one_command_must_be_of_one_voice(
    tmp_path: Path, write: Callable[[Samples], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = tmp_path / "fresh.db"
    other = write(voice("ben"))
    assert main(["enroll", "ada", str(ENROLMENT), str(other), "--store", str(fresh)]) == 1
    assert f"{other}: llr with what is known of ada" in capsys.readouterr().err
    assert not fresh.exists()


DOUBTS = {
    "level of the speech is -5": lambda: quiet(enrolment(), -55.0),
    "clipped part of the speech is": lambda: clipped(enrolment(), 4.0),
    "SNR is 1": lambda: noisy(enrolment(), 12.0),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_a_doubt_is_told_and_refuses_nothing(
    doubt: str,
    store: Path,
    write: Callable[[Samples], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(DOUBTS[doubt]())
    assert main(["enroll", "ada", str(path), "--store", str(store)]) == 0
    shown = capsys.readouterr()
    assert "of speech added" in shown.out
    assert doubt in shown.err
    assert "good is" in shown.err


def test_a_voice_enrolled_under_another_name_is_told(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["enroll", "eve", str(ENROLMENT), "--store", str(store)]) == 0
    assert "like the voice of ada, llr +" in capsys.readouterr().err
    assert main(["enroll", "ada", str(ENROLMENT), "--store", str(store)]) == 0
    assert capsys.readouterr().err == ""


def test_anothers_bad_profile_stops_nobody(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from types import SimpleNamespace
    from typing import Any, cast

    with Store(store, cast(Any, SimpleNamespace(id="other", statistics_size=3))) as opened:
        opened.enrol(Profile("ben", np.ones(3)))
    assert main(["enroll", "ada", str(ENROLMENT), "--store", str(store)]) == 0
    (told,) = capsys.readouterr().err.splitlines()
    assert "'earmark run' does not take" in told
    assert "'ben' was enrolled with the model other" in told
    assert main(["enroll", "ben", str(ENROLMENT), "--store", str(store)]) == 1
    assert "enrolled with the model other" in capsys.readouterr().err


def test_each_file_has_a_line_of_what_was_measured(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["enroll", "ada", str(ENROLMENT), "--store", str(store)]) == 0
    line, _ = capsys.readouterr().out.splitlines()
    for word in (
        "7.1 s",
        "-23 dBFS",
        "SNR",
        "clipped  0.0%",
        "second voice  0%",
        "overlap",
        "llr +",
    ):
        assert word in line
    assert line.endswith(str(ENROLMENT))


@pytest.mark.parametrize("snr", [5.0, 10.0, 20.0])
def test_the_snr_is_that_of_the_noise_that_was_added(snr: float) -> None:
    assert of(noisy(enrolment(), snr)).snr == pytest.approx(snr, abs=1.5)


def test_digital_silence_does_not_pass_for_a_quiet_room() -> None:
    samples = noisy(enrolment(), 5.0)
    assert of(np.pad(samples, 10 * RATE)).snr == pytest.approx(of(samples).snr, abs=1.5)


def test_the_level_is_that_of_the_speech_whatever_the_pauses() -> None:
    alone = of(enrolment()).level
    assert of(np.pad(enrolment(), 20 * RATE)).level == pytest.approx(alone, abs=0.5)
    assert of(enrolment() * np.float32(0.1)).level == pytest.approx(alone - 20.0, abs=0.5)


def test_without_pauses_the_snr_is_unknown_and_nothing_is_made_of_it() -> None:
    nothing = of(np.empty(0, dtype=np.float32))
    assert nothing.snr is None
    assert nothing.seconds == 0.0
    assert [f.hint for f in examine("ada", nothing, Likeness(), EnrolmentLimits())] == ["no speech"]


@pytest.mark.parametrize("seed", range(3))
def test_what_may_be_speech_alone_is_told_as_no_speech(seed: int) -> None:
    """A voice far below noise: its level is not known either."""
    random = np.random.default_rng(seed)
    hiss = random.standard_normal(len(enrolment())).astype(np.float32)
    found = 0
    for snr in np.arange(-9.0, -5.0, 0.25):
        power = np.float32(np.sqrt(np.mean(enrolment() ** 2)) * 10.0 ** (-snr / 20.0))
        heard = of((enrolment() + hiss * power) * np.float32(0.2))
        assert (heard.seconds > 0.0) == (heard.level > -90.0)
        found += heard.seconds == 0.0
    assert found


def test_a_voice_alone_is_no_second_voice() -> None:
    for speaker in ("ada", "ben", "callum", "dan"):
        assert of(voice(speaker)).second_voice == 0.0
    assert of(conversation()).second_voice > 0.3


def test_hours_take_no_more_memory_and_hide_no_second_voice() -> None:
    meter = QualityMeter(model())
    for _ in range(3):
        for speaker in ("ada", "ben"):
            meter.push(np.tile(voice(speaker), 2))
    meter.flush()
    assert len(meter._parts.sums) < MAX_PARTS
    quality = meter.quality()
    assert quality.seconds > 1.5 * MAX_PARTS
    assert quality.second_voice > 0.3


@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.integers(0, 2 * RATE), max_size=30))
def test_the_blocks_change_nothing(sizes: list[int]) -> None:
    samples = clipped(beginning(), 8.0)
    whole, cut = of(samples), measure(model(), in_blocks(samples, sizes))
    np.testing.assert_array_equal(cut.statistics, whole.statistics)
    for name in ("seconds", "level", "clipped", "snr", "second_voice", "overlap"):
        assert getattr(cut, name) == pytest.approx(getattr(whole, name), rel=1e-9)
    assert 0.0 < whole.clipped < 1.0
    assert whole.second_voice > 0.0


def test_the_statistics_are_those_of_any_other_way() -> None:
    np.testing.assert_array_equal(of(read_audio(ENROLMENT)).statistics, ada().statistics)
    assert of(read_audio(CONVERSATION)).clipped == 0.0
