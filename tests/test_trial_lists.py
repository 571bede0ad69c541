"""Risk: a list of trials misread, scored wrongly, or heard again for each line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from voices import CONVERSATION, ENROLMENT, RATE, ada, beginning, model

from edge.audio import read_audio
from edge.enrolment import profile_from_audio
from edge.errors import EarmarkError
from edge.gallery import Gallery
from edge.recalibration import (
    Line,
    Recalibration,
    recalibration_path,
    save_recalibration,
)
from edge.store import Store
from export.trials import main, read_trials


@pytest.fixture
def recordings(tmp_path: Path) -> dict[str, Path]:
    """The name says who: two halves of what ada enrolled with, and somebody else."""
    own = read_audio(ENROLMENT)
    parts = {
        "ada1": own[: len(own) // 2],
        "ada2": own[len(own) // 2 :],
        "ben": beginning()[6 * RATE : 12 * RATE],
    }
    paths = {}
    for name, samples in parts.items():
        paths[name] = tmp_path / f"{name}.wav"
        soundfile.write(paths[name], samples, RATE)
    return paths


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "trials.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_scores_are_those_of_a_decision(
    recordings: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, other = (recordings[name] for name in ("ada1", "ada2", "ben"))
    trials = write(tmp_path, f"{one} {two} target", f"{one}\t{other} nontarget", "")
    scores, plot = tmp_path / "scores.txt", tmp_path / "det.png"
    assert main([str(trials), "--scores", str(scores), "--det", str(plot)]) == 0
    profiles = [profile_from_audio(model(), "x", read_audio(path)) for path in (two, other)]
    claimed = Gallery(model(), [profile_from_audio(model(), "ada", read_audio(one))])
    rows = [line.split() for line in scores.read_text(encoding="utf-8").splitlines()]
    assert [row[:2] for row in rows] == [[str(one), str(two)], [str(one), str(other)]]
    expected = [claimed.nearest(profile.statistics, 1)[0].llr for profile in profiles]
    assert [float(row[2]) for row in rows] == pytest.approx(expected, abs=1e-3)
    assert plot.read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert "1 target, 1 nontarget" in shown
    for measure in ("EER", "minDCF", "Cllr", "minCllr"):
        assert measure in shown


@pytest.mark.parametrize("output", ["closed", "full"])
def test_an_output_that_takes_nothing_is_no_crash(output: str, tmp_path: Path) -> None:
    trials = write(
        tmp_path, f"{ENROLMENT} {ENROLMENT} target", f"{ENROLMENT} {CONVERSATION} nontarget"
    )
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed, open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "export.trials", str(trials)],
            stdout=closed if output == "closed" else full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (result.returncode, result.stderr) == (
        (141, "")
        if output == "closed"
        else (1, "earmark-trials: cannot write the output: No space left on device\n")
    )


def test_the_enrolled_by_name(
    recordings: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "speakers.db"
    with Store(store, model()) as opened:
        opened.enrol(ada())
    lines = [f"ada {recordings['ada1']} target", f"ada {recordings['ben']} nontarget"]
    assert main([str(write(tmp_path, *lines)), "--store", str(store)]) == 0
    assert "EER      0.00 %" in capsys.readouterr().out
    lines.append(f"bob {recordings['ben']} target")
    assert main([str(write(tmp_path, *lines)), "--store", str(store)]) == 1
    assert "bob" in capsys.readouterr().err


def test_scores_are_by_the_users_own_calibration(
    recordings: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given, or where 'earmark calibrate' keeps it; a voice enrolled alone is as one of a file."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    store, own, scores = tmp_path / "s.db", tmp_path / "own.json", tmp_path / "scores.txt"
    with Store(store, model()) as opened:
        opened.enrol(ada())
    tests = [f"{recordings['ada1']} target", f"{recordings['ben']} nontarget"]

    def llrs(enrolled: object, *options: object) -> np.ndarray:
        trials = write(tmp_path, *(f"{enrolled} {test}" for test in tests))
        assert main([str(word) for word in (trials, "--scores", scores, *options)]) == 0
        return np.loadtxt(scores, usecols=2)

    sides = (("ada", "--store", store), (ENROLMENT,))
    plain = [llrs(*side) for side in sides]
    learnt = Recalibration(model().odds_id, Line(2.0, 0.5), Line(0.0, 1.0), 4, 6)
    save_recalibration(learnt, own)
    given = [llrs(*side, "--calibration", own) for side in sides]
    save_recalibration(learnt, recalibration_path())
    found = [llrs(*side) for side in sides]
    for before, *after in zip(plain, given, found, strict=True):
        np.testing.assert_allclose(after, [2.0 + 0.5 * before] * 2, atol=1e-3)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a b", "line 2"),
        ("a b c target", "line 2"),
        ("a b Target", "line 2"),
        ("a b\0 target", "line 2"),
        ("a b target", "both kinds"),
        ("missing.wav missing.wav nontarget", "missing.wav"),
    ],
)
def test_a_list_that_cannot_be_scored(
    line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trials = write(tmp_path, f"{CONVERSATION} {ENROLMENT} target", line)
    scores = tmp_path / "scores.txt"
    assert main([str(trials), "--scores", str(scores)]) == 1
    (complaint,) = capsys.readouterr().err.splitlines()
    assert complaint.startswith("earmark-trials: ")
    assert said in complaint
    assert not scores.exists()


@pytest.mark.parametrize(
    ("option", "name", "said"),
    [
        ("--scores", "nowhere/x", "is missing"),
        ("--scores", "", "is a folder"),
        ("--det", "nowhere/x.png", "is missing"),
        ("--det", "x.xyz", "ends in one of"),
        ("--det", "x", "ends in one of"),
    ],
)
def test_an_output_that_could_not_be_written_is_told_before_the_work(
    option: str, name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "no list"), option, str(tmp_path / name)]) == 1
    (complaint,) = capsys.readouterr().err.splitlines()
    assert said in complaint


def test_scores_go_to_standard_output_and_nowhere_else(
    recordings: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    one, two, other = (recordings[name] for name in ("ada1", "ada2", "ben"))
    trials = write(tmp_path, f"{one} {two} target", f"{one} {other} nontarget")
    before = set(tmp_path.iterdir())
    assert main([str(trials), "--scores", "-"]) == 0
    shown = capsys.readouterr()
    rows = [line.split() for line in shown.out.splitlines()]
    assert [row[:2] for row in rows] == [[str(one), str(two)], [str(one), str(other)]]
    assert "EER      0.00 %" in shown.err
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("option", ["--scores", "--det"])
@pytest.mark.parametrize("kind", ["list", "enrolled", "test", "--store", "--key", "--calibration"])
def test_nothing_is_written_over_what_is_read(
    option: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "read.png"  # a link to it would be written over it, too
    read = tmp_path / "trials.txt" if kind == "list" else tmp_path / "kept"
    read.write_bytes(b"kept")
    link.symlink_to(read)
    enrolled, test = (read if kind == side else CONVERSATION for side in ("enrolled", "test"))
    trials = write(tmp_path, f"{enrolled} {test} target", f"{enrolled} {test} nontarget")
    before = read.read_bytes()
    words = [str(trials), option, str(link)]
    assert main([*words, kind, str(read)] if kind.startswith("--") else words) == 1
    (complaint,) = capsys.readouterr().err.splitlines()
    assert f"{read} is to be read, and an output would be written over it" in complaint
    assert read.read_bytes() == before


@given(data=st.binary(max_size=200))
def test_any_bytes_are_trials_or_an_error(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(data)
    try:
        trials = read_trials(path)
    except EarmarkError as error:
        assert "\n" not in str(error)
        return
    assert {trial.target for trial in trials} == {True, False}
    assert np.all([len(f"{t.enrolled} {t.test}".split()) == 2 for t in trials])
