"""Risk: odds learnt from a user's clips are wrong, or used where they do not belong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from voices import CONVERSATION, ENROLMENT, RATE, TRUTH, conversation, model

from edge.cli import main
from edge.commands.calibrate import LEAST_MEASURED
from edge.commands.doctor import CHECKS, diagnose
from edge.encoder import Model
from edge.errors import EarmarkError
from edge.recalibration import (
    Line,
    Recalibration,
    fit,
    load_recalibration,
    recalibration_path,
    save_recalibration,
)
from edge.rttm import read_rttm

UNCHANGED = Line(0.0, 1.0)
SPREAD = 3.0  # of true llrs, which for normal scores have variance twice their mean


def true_llrs(mean: float, count: int) -> np.ndarray:
    """Evenly spaced quantiles, so that no luck of a draw blurs what must be found."""
    shares = (np.arange(count) + 0.5) / count
    return np.asarray(norm.ppf(shares, loc=mean, scale=SPREAD))


@settings(max_examples=20, deadline=None)
@given(
    offset=st.floats(-3, 3),
    slope=st.floats(0.5, 2),
    own=st.integers(400, 10_000),
)
def test_what_was_bent_is_straightened(offset: float, slope: float, own: int) -> None:
    targets = np.arange(20_000) < own
    llrs = np.concatenate(
        [true_llrs(SPREAD**2 / 2, own), true_llrs(-(SPREAD**2) / 2, 20_000 - own)]
    )
    bent = (llrs - offset) / slope
    found = fit(bent, targets, np.zeros(len(bent), dtype=np.int64), speakers=10_000)
    assert found == pytest.approx((offset, slope), abs=0.1)


def test_hardly_any_speakers_change_hardly_anything() -> None:
    targets = np.array([True] * 4 + [False] * 4)
    llrs = np.where(targets, -50.0, 50.0)  # all the wrong way round
    offset, slope = fit(llrs, targets, np.zeros(8, dtype=np.int64), speakers=1)
    assert abs(offset) < 3 and abs(slope - 1.0) < 2
    assert all(map(np.isfinite, (offset, slope)))


@pytest.mark.parametrize("kept", [True, False])
def test_lengths_with_trials_of_one_kind_alone_move_nothing(kept: bool) -> None:
    own, others = true_llrs(SPREAD**2 / 2, 1000), true_llrs(-(SPREAD**2) / 2, 1000)
    one_kind = own if kept else others
    llrs = np.concatenate([own, others, one_kind, one_kind])
    targets = np.repeat([True, False, kept, kept], 1000)
    lengths = np.repeat([1, 1, 0, 2], 1000)
    assert fit(llrs, targets, lengths, speakers=1000) == pytest.approx((0.0, 1.0), abs=0.02)
    # Where no length has both kinds, nothing is learnt.
    assert fit(llrs[2000:], targets[2000:], lengths[2000:], speakers=1000) == (0.0, 1.0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The turns of the bundled conversation, a folder for each of its four voices."""
    folder = tmp_path_factory.mktemp("clips")
    for number, turn in enumerate(read_rttm(TRUTH)):
        own = folder / turn.speaker
        own.mkdir(exist_ok=True)
        span = conversation()[round(turn.start * RATE) : round(turn.end * RATE)]
        soundfile.write(own / f"{number}.wav", span, RATE)
    return folder


def test_clips_become_odds_that_verify_uses(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, store = tmp_path / "own.json", tmp_path / "speakers.db"
    assert main(["calibrate", str(clips), "--output", str(file)]) == 0
    said = capsys.readouterr().out
    assert "strangers accepted" in said and str(file) in said
    assert file.stat().st_mode & 0o077 == 0
    learnt = load_recalibration(file)
    assert learnt.model == model().odds_id
    assert learnt.speakers == 4 and learnt.trials > LEAST_MEASURED

    assert main(["enroll", "ada", str(ENROLMENT), "--store", str(store)]) == 0
    words = ["verify", "ada", str(CONVERSATION), "--json", "--store", str(store)]
    words += ["--false-accept", "1e-9", "--miss", "1e-9"]  # all of it is heard, by any odds
    found = []
    for options in ([], ["--calibration", str(file)]):
        capsys.readouterr()
        assert main([*words, *options]) == 4
        found.append(json.loads(capsys.readouterr().out))
    plain, own = found
    assert own["seconds"] == plain["seconds"]
    assert own["llr"] == pytest.approx(
        learnt.alone.offset + learnt.alone.slope * plain["llr"], abs=0.02
    )
    assert own["llr"] != pytest.approx(plain["llr"], abs=0.02)


def test_another_models_odds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match="was made with the odds other"):
        Recalibration("other", UNCHANGED, UNCHANGED, 9, 99).apply(Model.load())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"model":"x","offset":0,"slope":1,"speakers":4,"trials":9}',
        *(
            b'{"model":"x","alone":{"offset":0,"slope":1},"among":%s,"speakers":4,"trials":9}' % odd
            for odd in (
                b'{"offset":1e9,"slope":1}',
                b'{"offset":0,"slope":-1}',
                b'{"offset":NaN,"slope":1}',
                b'{"offset":0}',
            )
        ),
        bytes(range(256)),
        b'{"model":"\x80"}',
    ],
)
def test_a_file_that_is_no_calibration_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "own.json"
    file.write_bytes(content)
    with pytest.raises(EarmarkError, match="is no calibration"):
        load_recalibration(file)


def test_doctor_finds_a_calibration_with_which_nothing_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (check,) = [check for check in CHECKS if check.name == "calibration"]
    assert diagnose(check)[0] == "ok"
    file = recalibration_path()
    file.parent.mkdir()
    file.write_text("{}")
    status, said, remedy = diagnose(check)
    assert (status, remedy) == ("fail", "Run 'earmark calibrate' again")
    assert f"{file} is no calibration" in said
    save_recalibration(Recalibration(model().odds_id, Line(0.5, 1.0), UNCHANGED, 4, 6), file)
    assert diagnose(check) == ("ok", f"your own, {file}", "")


def test_one_clip_of_two_speakers_is_refused(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for own in sorted(clips.iterdir()):
        (tmp_path / own.name).mkdir()
        for clip in own.iterdir():
            (tmp_path / own.name / clip.name).symlink_to(clip)
    clip = sorted((tmp_path / "ada").iterdir())[0]
    copy = tmp_path / "ben" / "copy.flac"
    soundfile.write(copy, *soundfile.read(clip, dtype="int16"))
    assert main(["calibrate", str(tmp_path), "--output", str(tmp_path / "own.json")]) == 1
    (complaint,) = capsys.readouterr().err.splitlines()
    assert f"{clip} and {copy} are the same speech" in complaint
    assert not (tmp_path / "own.json").exists()


def test_too_few_speakers_are_refused(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = tmp_path / "two"
    two.mkdir()
    for own in sorted(clips.iterdir())[:2]:
        (two / own.name).symlink_to(own)
    (two / "eve").mkdir()
    (two / "eve" / "1.mp3").write_bytes(b"no audio that is read")
    assert main(["calibrate", str(two), "--output", str(tmp_path / "own.json")]) == 1
    left_out, complaint = capsys.readouterr().err.splitlines()
    assert left_out.endswith(f"{two / 'eve'} are heard, not 1 .mp3")
    assert "clips of 2 speakers" in complaint
    assert not (tmp_path / "own.json").exists()


def test_a_clip_that_is_left_out_cannot_steer_the_terminal_by_its_name(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for own in sorted(clips.iterdir()):
        (tmp_path / own.name).symlink_to(own)
    (tmp_path / "eve").mkdir()
    soundfile.write(tmp_path / "eve" / "\x1b[2J.wav", np.zeros(RATE), RATE)
    assert main(["calibrate", str(tmp_path), "--output", str(tmp_path / "own.json")]) == 0
    assert "?[2J.wav holds less than 1 s of speech; left out" in capsys.readouterr().err


def test_what_cannot_be_written_is_told_before_the_clips_are_heard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = tmp_path / "none"
    assert main(["calibrate", str(clips), "--output", str(tmp_path)]) == 1
    assert f"cannot write {tmp_path}" in capsys.readouterr().err
