"""Risk: settings that cannot work are found by a traceback, or never, after hours of training."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tiny_corpus import build_corpus, tiny_config

from edge.config_file import load_config
from edge.errors import EarmarkError
from export.cli import main as export
from train.cli import main
from train.config import TrainConfig
from train.lists import FOLDER
from train.manifest import COLUMNS

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 9223372036854775808", r"seed"),
        ("seed: -1", r"`int` >= 0 - at `\$\.seed`"),
        ("augment: {noise_probability: 1.5}", r"<= 1\.0 - at `\$\.augment\.noise_probability`"),
        ("augment: {room_probability: -0.1}", r"at `\$\.augment\.room_probability`"),
        ("augment: {noise_snr_db: [25, 3]}", r"noise_snr_db is \[25\.0, 3\.0\].*lower one first"),
        ("augment: {level_db: [.nan, 0]}", r"level_db is \[nan, 0\.0\]"),
        ("augment: {babble_voices: [3, 3]}", r"babble_voices is \[3, 3\].*lower one first"),
        ("augment: {babble_voices: [0, 3]}", r"at `\$\.augment\.babble_voices"),
        ("augment: {mel_mask: 100}", r"at `\$\.augment\.mel_mask`"),
        ("augment: {rooms: {count: 0}}", r"at `\$\.augment\.rooms\.count`"),
        ("augment: {rooms: {decay_seconds: [0.5, 0.1]}}", r"decay_seconds is \[0\.5, 0\.1\]"),
        ("augment: {voices: {speeds: []}}", r"at `\$\.augment\.voices\.speeds`"),
        ("augment: {voices: {speeds: [0]}}", r"at `\$\.augment\.voices\.speeds"),
        ("data: {lists: []}", r"at `\$\.data\.lists`"),
        ("data: {views: 0}", r"at `\$\.data\.views`"),
        ("data: {crop_seconds: [2, 1]}", r"crop_seconds is \[2\.0, 1\.0\]"),
        ("data: {crop_seconds: [0.01, 0.02]}", r"at `\$\.data\.crop_seconds"),
        ("data: {splice_frames: [-3, 3]}", r"at `\$\.data\.splice_frames"),
        ("encoder: {frames_per_record: 20}", r"at `\$\.encoder\.frames_per_record`"),
        ("encoder: {num_mels: 40}", r"at `\$\.encoder\.num_mels`"),
        ("encoder: {channels: 0}", r"at `\$\.encoder\.channels`"),
        ("encoder: {dilations: [1, 0]}", r"at `\$\.encoder\.dilations"),
        ("encoder: {segmenter: 90}", r"multiple of 4 - at `\$\.encoder\.segmenter`"),
        ("loss: {margin: -1}", r"at `\$\.loss\.margin`"),
        ("loss: {temperature: 0}", r"at `\$\.loss\.temperature`"),
        ("optimiser: {steps: -1}", r"at `\$\.optimiser\.steps`"),
        ("optimiser: {batch: 1}", r"at `\$\.optimiser\.batch`"),
        ("optimiser: {learning_rate: .nan}", r"optimiser\.learning_rate is nan"),
        ("optimiser: {ema_decay: 2}", r"at `\$\.optimiser\.ema_decay`"),
        ("activity: {batch: 0}", r"at `\$\.activity\.batch`"),
        ("activity: {seconds: [4, 2]}", r"seconds is \[4\.0, 2\.0\].* at `\$\.activity`"),
        ("head: {dropout: 2}", r"at `\$\.head\.dropout`"),
        ("head: {crop_seconds: [0, 6]}", r"at `\$\.head\.crop_seconds"),
        ("segmenter: {talks: 0}", r"at `\$\.segmenter\.talks`"),
    ],
)
def test_a_value_out_of_its_bounds_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(EarmarkError, match=said):
        load_config(TrainConfig, path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("encoder: {stride: 1}", "encoder.stride is 1, expected 2"),
        ("encoder: {spectral: 0, stride: 4}", "encoder.stride is 4, expected 1, 2, 5 or 10"),
        (
            "loss: {contrastive: 0.1}",
            "loss.contrastive is 0.1, expected 0 unless data.views is more",
        ),
        ("loss: {distillation: 0, classification: 0}", "nothing is to be learnt: expected loss"),
        ("{data: {teachers: []}, loss: {classification: 0}}", "nothing is to be learnt"),
        ("{data: {views: 8}, optimiser: {batch: 4}}", "optimiser.batch is 4, expected data.views"),
        ("data: {crop_seconds: [0.5, 1]}", "data.crop_seconds begins with 0.5"),
        ("segmenter: {seconds: 6}", "segmenter.tokens is 50, expected 30 at most"),
    ],
)
def test_values_that_do_not_fit_each_other_are_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    run = tmp_path / "run"
    assert main(["--corpus", str(tmp_path), "--run", str(run), "--config", str(path)]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("command", "name"), [(main, "train"), (export, "export")])
def test_the_help_tells_what_a_corpus_is_and_what_the_exit_status_says(
    capsys: pytest.CaptureFixture[str], command: Callable[[list[str]], int], name: str
) -> None:
    with pytest.raises(SystemExit, match="0"):
        command(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert f"usage: earmark-{name}" in shown
    for said in (FOLDER, "examples:", "exit status: 0 all went well; 1", "130 interrupted"):
        assert said in shown


def nobody(speaker: str) -> str:
    return ""


def one_name(speaker: str) -> str:
    return speaker and "ann"


@pytest.mark.parametrize(
    ("stage", "named", "said"),
    [
        ("head: {steps: 4}", nobody, "no training utterance has a label"),
        ("activity: {steps: 4}", nobody, "mixtures need utterances of 99 s"),
        ("segmenter: {steps: 4}", str, "speech outputs, by which"),
        ("{activity: {steps: 4}, segmenter: {steps: 4}}", one_name, "talks need 4 speakers"),
    ],
)
def test_what_a_later_stage_needs_is_asked_for_before_the_first_is_trained(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    named: Callable[[str], str],
    said: str,
) -> None:
    """A run of hours could then not go on, neither with other settings nor with other lists."""
    if "mixtures" in said:
        monkeypatch.setattr("train.mixtures.MIN_SECONDS", 99.0)
    corpus, config = build_corpus(tmp_path / "corpus"), tiny_config(tmp_path)
    values = yaml.safe_load(config.read_text()) | {"activity": {}, "segmenter": {}}
    config.write_text(yaml.safe_dump(values | yaml.safe_load(stage)))
    with (corpus / "train.csv").open(newline="", encoding="utf-8") as lines:
        rows = [row | {"speaker": named(row["speaker"])} for row in csv.DictReader(lines)]
    with (corpus / "train.csv").open("w", newline="", encoding="utf-8") as output:
        writer = csv.DictWriter(output, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    run = tmp_path / "run"
    words = ["--corpus", str(corpus), "--config", str(config), "--workers", "0"]
    assert main([*words, "--run", str(run)]) == 1
    assert said in capsys.readouterr().err
    assert not run.exists()


@pytest.mark.parametrize("option", [["--threads", "0"], ["--threads", "-2"], ["--workers", "-1"]])
def test_a_number_of_threads_or_workers_that_cannot_be_is_a_wrong_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--corpus", str(tmp_path), "--run", str(tmp_path / "run"), *option])
    assert stopped.value.code == 2
    assert f"{' is '.join(option)}, expected" in capsys.readouterr().err


@pytest.mark.parametrize("run", ["file", "file/run"])
def test_a_file_in_the_place_of_a_run_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], run: str
) -> None:
    corpus = build_corpus(tmp_path / "corpus")
    words = ["--corpus", str(corpus), "--config", str(tiny_config(tmp_path))]
    (tmp_path / "file").touch()
    assert main([*words, "--run", str(tmp_path / run)]) == 1
    assert f"{tmp_path / 'file'} is a file, expected a folder" in capsys.readouterr().err


def test_what_is_shipped_is_within_its_bounds() -> None:
    for path in CONFIGS.glob("*.yaml"):
        if path.name != "earmark.yaml":
            load_config(TrainConfig, path).check()


def test_what_stays_behind_an_encoder_that_is_trained_on_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, config = build_corpus(tmp_path / "corpus"), tiny_config(tmp_path)
    words = ["--corpus", str(corpus), "--config", str(config), "--workers", "0"]
    assert main([*words, "--run", str(tmp_path / "first")]) == 0
    assert "done: export it" in capsys.readouterr().out
    values = yaml.safe_load(config.read_text()) | {"activity": {}, "segmenter": {}}
    config.write_text(yaml.safe_dump(values))
    further = ["--run", str(tmp_path / "second"), "--init", str(tmp_path / "first" / "encoder.pt")]
    assert main([*words, *further]) == 0
    told, what = capsys.readouterr(), "what activity.steps and segmenter.steps would train, stays"
    assert f"done. {what}" in told.out
    assert what in told.err
