"""Risk: a rival is measured unfairly, or left out of the table without a word."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console
from tiny_corpus import conversation

from edge.encoder import DEFAULT_MODEL, Model
from edge.errors import EarmarkError
from edge.rttm import Turn
from export.conditions import half_over_telephone, in_babble, in_bands
from export.detection import DetectionRow
from export.diarization import judge
from export.evaluate import BABBLE_DB, CONVERSATION, WEIGHTS, main
from export.hearing import Hearing
from export.rivals import Cost, Rival, cost_of_model, cost_of_rival, load_rivals
from export.senko import evaluate_senko
from export.tables import (
    Verification,
    cost_table,
    detection_table,
    diarization_table,
    verification_table,
)

ROOT = Path(__file__).resolve().parents[1]
RIVALS = ROOT / "runs" / "rivals"


def test_a_rival_that_is_not_installed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "resemblyzer", None)  # another test may have loaded it
    assert load_rivals(tmp_path) == []
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in said] == ["CAM++", "Resemblyzer"]
    assert all("make eval" in line for line in said)


def test_figures_that_could_not_be_written_are_told_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_: Path) -> Model:
        raise AssertionError("the work was begun")

    monkeypatch.setattr("export.evaluate.Model.load", work)
    output = tmp_path / "missing" / "figures.json"
    assert main(["--corpus", str(tmp_path), "--json", str(output)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"eval: cannot write {output}: no such folder. Make it, or give another"
    assert main(["--corpus", str(tmp_path), "--plot", str(tmp_path / "x.xyz")]) == 1
    assert "ends in one of" in capsys.readouterr().err


def test_figures_that_there_are_not_are_null(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON has no NaN, and most readers refuse it."""
    monkeypatch.setattr("export.evaluate.evaluate", lambda args: {"latency": (math.nan, 0.5)})
    output = tmp_path / "figures.json"
    assert main(["--corpus", str(tmp_path), "--json", str(output)]) == 0
    assert json.loads(output.read_text(), parse_constant=pytest.fail) == {"latency": [None, 0.5]}


@pytest.mark.parametrize("name", ["small", "tiny"])
def test_a_model_stands_beside_its_own_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Beside tiny's int8 stood what small says in torch, and as many parameters as it has."""
    loaded: list[Path] = []
    monkeypatch.setattr("export.evaluate.load_encoder", loaded.append)
    model = DEFAULT_MODEL.parent / name
    assert main(["--corpus", str(tmp_path), "--model", str(model)]) == 1  # no conversations
    assert loaded == [WEIGHTS / f"{name}.pt"]


def test_make_makes_the_folder_of_the_figures_in_a_fresh_clone(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to("/bin/true")
    command = ["make", "--old-file=runs/rivals/.installed", f"BIN={python.parent}", "eval"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "runs" / "eval").is_dir()


def test_cost_grows_with_the_work_and_is_of_the_files(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_bytes(bytes(2_000_000))

    def embed(repeats: int) -> float:
        def work(audio: np.ndarray) -> np.ndarray:
            for _ in range(repeats):
                np.fft.rfft(audio)
            return audio[:2]

        return cost_of_rival(Rival("x", work, 7, weights), conversation()[:16000]).cpu_ms

    assert embed(60) > 2.0 * embed(2)
    audio = conversation()[: 16000 * 4]
    cost = cost_of_model(Model.load(), 5, audio)
    assert cost.parameters == 5
    assert cost.megabytes == pytest.approx(
        sum(path.stat().st_size for path in DEFAULT_MODEL.glob("*.onnx")) / 1e6
    )
    assert cost.cpu_ms > 0.0


def test_babble_is_of_strangers_at_the_level_that_is_said() -> None:
    tones = [
        np.sin(2 * np.pi * f * np.arange(16000) / 16000).astype(np.float32) * 0.1
        for f in (200, 300, 400, 500, 600, 700, 800)
    ]
    speakers = ["a", "a", *"bcdef"]
    noisy = in_babble(tones, speakers, BABBLE_DB)
    added = noisy[0] - tones[0]
    ratio = 10 * np.log10(np.mean(tones[0] ** 2) / np.mean(added**2))
    assert ratio == pytest.approx(BABBLE_DB, abs=0.1)
    spectrum = np.abs(np.fft.rfft(added))
    assert spectrum[300] < 1e-2 * spectrum[400], "the same speaker's other recording is not babble"
    np.testing.assert_array_equal(noisy[3], in_babble(tones, speakers, BABBLE_DB)[3])


def test_too_few_strangers_for_babble_are_told() -> None:
    voices = [np.ones(16, dtype=np.float32)] * 6
    with pytest.raises(EarmarkError, match="babble for a needs 5 recordings of others"):
        in_babble(voices, ["a", "a", *"bbcd"], BABBLE_DB)


def test_every_second_recording_is_over_a_line_and_the_others_are_as_they_are() -> None:
    random = np.random.default_rng(0)
    noises = [random.standard_normal(16000).astype(np.float32) for _ in range(5)]
    heard = half_over_telephone(noises)
    assert len(heard) == 5
    for number, (audio, noise) in enumerate(zip(heard, noises, strict=True)):
        spectrum = np.abs(np.fft.rfft(audio))
        above = np.median(spectrum[5000:7500]) / np.median(spectrum[1000:3000])
        if number % 2:
            assert above < 0.1
        else:
            np.testing.assert_array_equal(audio, noise)


def test_every_recording_gets_a_band_of_its_own() -> None:
    random = np.random.default_rng(0)
    noises = [random.standard_normal(16000).astype(np.float32) for _ in range(8)]
    heard = in_bands(noises)
    spectra = [np.abs(np.fft.rfft(audio)) for audio in heard]
    ends = {
        int(np.flatnonzero(spectrum > 0.1 * np.median(spectrum[1000:3000]))[-1])
        for spectrum in spectra
    }
    assert len(ends) == 8 and all(3300 <= end <= 8000 for end in ends)
    np.testing.assert_array_equal(heard[5], in_bands(noises)[5])


def test_the_tables_show_every_row() -> None:
    verification = [
        Verification("librispeech", crop, form, 1.25, 0.5)
        for crop in ("3 s", "1.5 s")
        for form in ("torch fp32", "ONNX int8", "CAM++")
    ]
    truth = [Turn(0.0, 6.0, "a"), Turn(6.0, 8.0, "b")]
    late = np.array([0.5, 0.7])
    heard = Hearing("sample", 10.0, truth, [], [Turn(0.0, 10.0, "x")], late, late)
    tables = [
        verification_table(verification),
        cost_table([Cost("Earmark small", 1234567, 2.5, 2.81)], 8),
        detection_table([DetectionRow("speech", "conversations", "WebRTC", 0.893, 0.9, 0.8)]),
        diarization_table("conversations", judge([heard]).final),
    ]
    output = StringIO()
    for table in tables:
        Console(file=output, width=120).print(table)
    text = output.getvalue()
    for shown in (
        "CAM++",
        " 1.25 (0.500)",
        "1,234,567",
        "2.81",
        "0.893",
        "50.0 = 0.0+25.0+25.0",
        "1 / 2",
    ):
        assert shown in text
    assert text.count("librispeech") == 2


def copy_conversation(folder: Path) -> None:
    for ending in (".flac", ".rttm"):
        (folder / f"talk{ending}").write_bytes(CONVERSATION.with_suffix(ending).read_bytes())


def test_senko_is_named_where_it_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_conversation(tmp_path)
    assert evaluate_senko(tmp_path, tmp_path) == []
    (line,) = capsys.readouterr().err.splitlines()
    assert "senko is left out: ModuleNotFoundError" in line and "make eval" in line


def test_senko_is_judged_by_all_that_it_finds(tmp_path: Path) -> None:
    if not (RIVALS / "umap").is_dir():
        pytest.skip("needs senko and what it requires: make runs/rivals/.installed")
    copy_conversation(tmp_path)
    silence = np.zeros(16000 * 5, dtype=np.float32)
    soundfile.write(tmp_path / "silence.flac", silence, 16000)
    (tmp_path / "silence.rttm").write_text("SPEAKER silence 1 1.0 1.0 <NA> <NA> a <NA> <NA>\n")
    nobody, talk, both = evaluate_senko(tmp_path, RIVALS)
    assert (nobody.recording, nobody.speakers, nobody.exact.miss) == ("silence", 0, 100.0)
    assert (talk.recording, talk.speakers_truth) == ("talk", 4) and talk.exact.der < 30.0
    assert talk.exact.der < both.exact.der < 100.0
