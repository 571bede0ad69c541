"""Risk: several devices train another encoder than one device does with the same batches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_corpus import build_corpus, tiny_config

from train.config import OptimiserConfig, TrainConfig
from train.encoder_file import load_encoder
from train.precision import resolved


def train(tmp_path: Path, name: str, extra: str, launcher: list[str]) -> dict[str, torch.Tensor]:
    config = tiny_config(tmp_path)
    config = config.rename(tmp_path / f"{name}.yaml")
    text = config.read_text().replace("warmup: 2", f"warmup: 2, {extra}")
    for stage in ("activity", "segmenter"):
        text = text.replace(f"{stage}: {{steps: 4", f"{stage}: {{steps: 0")
    config.write_text(text)
    run = tmp_path / "runs" / name
    command = [sys.executable, *launcher, "-m", *["--"] * bool(launcher), "train.cli"]
    command += ["--corpus", str(tmp_path / "corpus"), "--run", str(run), "--config", str(config)]
    result = subprocess.run(
        [*command, "--workers", "0"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    return load_encoder(run / "encoder.pt").state_dict()


def test_two_processes_train_what_one_does_with_two_batches_a_step(tmp_path: Path) -> None:
    build_corpus(tmp_path / "corpus")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    apart = train(tmp_path, "apart", "accumulate: 1", torchrun)
    (tmp_path / "runs" / "apart" / "stages" / "encoder.pt").unlink()
    again = train(tmp_path, "apart", "accumulate: 1", torchrun)  # from the last checkpoint
    assert all(torch.equal(apart[name], again[name]) for name in apart)
    alone = train(tmp_path, "alone", "accumulate: 2", [])
    other = train(tmp_path, "other", "accumulate: 1", [])
    # Normalisations count the batches of their own process, and the last layers are whitened with
    # them; all that is learnt is the same.
    counted = ("running", "batches", "head_linear", "head_out")
    learnt = [name for name in alone if not any(part in name for part in counted)]
    assert len(learnt) > 30
    for name in learnt:
        torch.testing.assert_close(apart[name], alone[name], rtol=2e-3, atol=2e-4, msg=name)
    assert any(not torch.allclose(other[n], alone[n], rtol=2e-3, atol=2e-4) for n in learnt)


def test_half_precision_trains(tmp_path: Path) -> None:
    build_corpus(tmp_path / "corpus")
    weights = train(tmp_path, "half", "precision: bf16", [])
    assert all(values.dtype != torch.bfloat16 for values in weights.values())
    assert all(bool(values.isfinite().all()) for values in weights.values())


@pytest.mark.parametrize(
    ("gpu", "able", "taken"),
    [
        (None, {}, "no"),
        (None, {"avx2": True, "avx512_f": True, "avx512_bf16": False}, "no"),
        (None, {"avx512_bf16": True}, "bf16"),
        (None, {"amx_bf16": True}, "bf16"),
        (False, {"avx512_bf16": True}, "no"),
        (True, {}, "bf16"),
    ],
)
def test_bf16_is_taken_of_itself_only_where_it_is_fast(
    monkeypatch: pytest.MonkeyPatch, gpu: bool | None, able: dict[str, bool], taken: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu is not None)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: gpu)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: able)
    config = TrainConfig(seed=3, optimiser=OptimiserConfig(precision="auto", batch=7))
    got = resolved(config)
    assert got.optimiser.precision == taken
    assert (got.seed, got.optimiser.batch) == (3, 7)
    asked = TrainConfig(optimiser=OptimiserConfig(precision="bf16"))
    assert resolved(asked) == asked
