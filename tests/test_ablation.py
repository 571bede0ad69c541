"""Risk: a choice of the ablation is none that the recipe has, or changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_corpus import build_corpus

from edge.config_file import merged, parse_config
from train import ablation
from train.ablation import BASE, CHOICES, NO_ATTENTION, SECONDS, run_choice
from train.config import TrainConfig
from train.encoder import Encoder
from train.encoder_file import load_encoder


@pytest.mark.parametrize("choice", CHOICES)
def test_each_choice_builds_and_differs(choice: str) -> None:
    base = parse_config(TrainConfig, BASE, "base")
    config = parse_config(TrainConfig, merged(BASE, CHOICES[choice]), choice)
    Encoder(config.encoder)
    assert (config == base) == (not CHOICES[choice])


@pytest.mark.parametrize("choice", ["no relational loss", NO_ATTENTION])
def test_a_choice_is_trained_and_judged(
    choice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"encoder": {"channels": 16, "embedding": 8}, "optimiser": {"batch": 4, "warmup": 2}}
    rooms = {"augment": {"rooms": {"count": 2}}}
    monkeypatch.setattr(ablation, "BASE", merged(merged(BASE, small), rooms))
    row = run_choice(choice, 3, build_corpus(tmp_path / "corpus"), tmp_path / "out")
    assert len(row.eer) == len(SECONDS)
    assert all(0 <= eer <= 100 for eer in row.eer)
    (trained,) = (tmp_path / "out").glob("*/stages/encoder.pt")
    weighs = load_encoder(trained).attend_out.weight.any()
    assert weighs == (choice != NO_ATTENTION)


def test_a_place_that_cannot_be_written_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "BASE", merged(BASE, {"encoder": {"embedding": 8}}))
    (tmp_path / "file").touch()
    corpus = build_corpus(tmp_path / "corpus")
    words = ["--corpus", str(corpus), "--output", str(tmp_path / "file" / "out")]
    assert ablation.main([*words, "--threads", "1"]) == 1
    assert "train.ablation: [Errno 20] Not a directory" in capsys.readouterr().err
