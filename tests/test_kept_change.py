"""Risk: what an earlier stage taught is lost to a later one that was to change it by a part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_corpus import open_corpus, settled_encoder

from train.cli import main
from train.encoder import Encoder
from train.interpolation import keep_part
from train.trainer import Trainer


def test_a_run_keeps_the_asked_share_of_its_change(tmp_path: Path) -> None:
    config, corpus = open_corpus(tmp_path / "corpus")
    before = settled_encoder(1)

    def trained(kept: float) -> Encoder:
        settings = replace(config, optimiser=replace(config.optimiser, kept=kept))
        return Trainer(settings, corpus, tmp_path / str(kept), 0, before).train()

    old, half, whole = (
        [weight for name, weight in encoder.state_dict().items() if name.startswith("blocks")]
        for encoder in (before, trained(0.5), trained(1.0))
    )
    moved = 0
    for first, middle, last in zip(old, half, whole, strict=True):
        if first.is_floating_point():
            torch.testing.assert_close(middle, (first + last) / 2)
            moved += not torch.equal(first, last)
    assert moved > 4


def test_counts_are_not_averaged() -> None:
    after = [torch.tensor([3.0, 5.0]), torch.tensor(7)]
    keep_part(after, [torch.tensor([1.0, 1.0]), torch.tensor(2)], 0.25)
    assert after[0].tolist() == [1.5, 2.0]
    assert after[1].item() == 7


def test_a_share_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "half.yaml"
    config.write_text("optimiser: {kept: 0.5}\n")
    assert main(["--corpus", str(tmp_path), "--run", str(tmp_path), "--config", str(config)]) == 1
    assert "there is no encoder to go on with" in capsys.readouterr().err
