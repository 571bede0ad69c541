"""Risk: the exporter lets a model ship that no longer hears what was trained."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from tiny_corpus import (
    ASSETS,
    SHAPE,
    build_corpus,
    conversation,
    settled_encoder,
)

from edge._native import Fbank, FbankOptions
from edge.encoder import Model
from edge.rttm import read_rttm
from export.cli import main
from export.graphs import CHUNK, export_graphs
from export.metadata import model_spec, write_spec
from export.parity import Parity, measure_parity
from export.quantise import quantise_frames
from train.encoder import Encoder
from train.encoder_file import save_encoder

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning"
)  # of torch's own exporter
Audio = NDArray[np.float32]


@pytest.fixture(scope="module")
def clips() -> list[Audio]:
    """The conversation's turns."""
    audio, turns = conversation(), read_rttm(ASSETS / "conversation.rttm")
    return [audio[int(t.start * 16000) : int(t.end * 16000)] for t in turns]


def export_pair(
    encoder: Encoder, folder: Path, streams: Iterable[NDArray[np.float32]]
) -> tuple[Model, Model]:
    """The float and int8 forms; `streams` are the log-mel frames that fix the ranges."""
    fp32, int8 = folder / "fp32", folder / "int8"
    export_graphs(encoder, fp32)
    int8.mkdir()
    quantise_frames(fp32 / "frames.onnx", int8 / "frames.onnx", streams, CHUNK)
    (int8 / "head.onnx").write_bytes((fp32 / "head.onnx").read_bytes())
    for path, precision in ((fp32, "float32"), (int8, "int8")):
        write_spec(path, model_spec(encoder.config, "tiny", "", precision))
    return Model.load(fp32), Model.load(int8)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, clips: list[Audio]) -> tuple[Encoder, Path]:
    """An encoder, and the folder of its faithful export."""
    encoder, folder = settled_encoder(0), tmp_path_factory.mktemp("good")
    export_pair(encoder, folder, log_mels(clips[:8]))
    return encoder, folder


def log_mels(clips: list[Audio]) -> list[Audio]:
    return [Fbank(FbankOptions()).push(clip) for clip in clips]


def unquantisable(encoder: Encoder) -> Encoder:
    """The same function in float, through one channel so loud that int8 hears nothing else."""
    encoder = copy.deepcopy(encoder)
    with torch.no_grad():
        for block in encoder.blocks:
            block.expand.norm.weight[0] *= 3000.0  # type: ignore[union-attr, index, operator]
            block.expand.norm.bias[0] *= 3000.0  # type: ignore[union-attr, index, operator]
            block.depthwise.conv.weight[0] /= 3000.0  # type: ignore[union-attr, index, operator]
    return encoder


def test_a_faithful_export_passes(good: tuple[Encoder, Path], clips: list[Audio]) -> None:
    encoder, folder = good
    fp32, int8 = Model.load(folder / "fp32"), Model.load(folder / "int8")
    parity = measure_parity(encoder, fp32, int8, clips[8:])
    assert parity.failures() == []
    assert 0.97 < parity.int8_cosine_mean < 1.0
    assert parity.int8_cosine_min <= parity.int8_cosine_mean


def test_ranges_fixed_on_garbage_are_refused(tmp_path: Path, clips: list[Audio]) -> None:
    encoder = settled_encoder(0)
    flat = [np.full_like(frames, frames.mean()) for frames in log_mels(clips[:2])]
    fp32, int8 = export_pair(encoder, tmp_path, flat)
    (reason,) = measure_parity(encoder, fp32, int8, clips[8:]).failures()
    assert "int8 embeddings agree" in reason
    assert "at least 0.99 expected" in reason


def test_another_encoders_graphs_are_refused_for_both_reasons(
    good: tuple[Encoder, Path], clips: list[Audio]
) -> None:
    fp32, int8 = Model.load(good[1] / "fp32"), Model.load(good[1] / "int8")
    reasons = measure_parity(settled_encoder(1), fp32, int8, clips[8:]).failures()
    assert [reason.split()[0] for reason in reasons] == ["fp32", "int8"]


def test_one_damaged_matrix_of_the_int8_graph_is_refused(
    tmp_path: Path, good: tuple[Encoder, Path], clips: list[Audio]
) -> None:
    encoder, folder = good
    damaged = shutil.copytree(folder / "int8", tmp_path / "int8")
    model = onnx.load(damaged / "frames.onnx")
    tensor = next(
        t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8 and t.dims[1:]
    )
    values = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array(np.roll(values, 1, axis=0), tensor.name))
    onnx.save(model, damaged / "frames.onnx")
    parity = measure_parity(encoder, Model.load(folder / "fp32"), Model.load(damaged), clips[8:])
    assert len(parity.failures()) == 1


@pytest.mark.parametrize(
    "figures", [(np.nan, 0.99, 0.99), (1e-6, np.nan, np.nan), (2e-4, 0.99, 0.9), (1e-6, 0.96, 0.9)]
)
def test_figures_that_are_bad_or_not_numbers_are_refused(
    figures: tuple[float, float, float],
) -> None:
    assert len(Parity(*figures).failures()) == 1


def run_export(tmp_path: Path, encoder: Encoder) -> tuple[int, Path]:
    """`earmark-export` on a tiny corpus."""
    corpus = build_corpus(tmp_path / "corpus")
    (tmp_path / "run").mkdir()
    save_encoder(encoder, tmp_path / "run" / "encoder.pt")
    output = tmp_path / "models" / "tiny"
    arguments = [tmp_path / "run" / "encoder.pt", "--corpus", corpus, "--output", output]
    status = main([str(a) for a in [*arguments, "--cache", tmp_path / "cache"]])
    return status, output


def test_the_command_makes_a_model_that_the_runtime_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = settled_encoder(0)
    status, output = run_export(tmp_path, encoder)
    assert status == 0, capsys.readouterr().err
    model = Model.load(output)
    assert (model.spec.name, model.spec.precision) == ("tiny", "int8")
    assert model.spec.training_data == "common_voice"
    assert model.spec.calibration != (0.0, 0.0, 1.0, 0.0)
    assert Model.load(tmp_path / "run" / "fp32").spec.precision == "float32"
    figures = json.loads((output / "figures.json").read_text())
    assert (
        Parity(
            *(figures[k] for k in ("statistics_error", "int8_cosine_mean", "int8_cosine_min"))
        ).failures()
        == []
    )
    assert figures["config"]["channels"] == SHAPE.channels
    card = (output / "README.md").read_text()
    assert model.spec.front_end_hash in card
    assert f"{sum(p.numel() for p in encoder.parameters()):,}" in card


def test_the_command_refuses_an_encoder_that_int8_ruins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _ = run_export(tmp_path, unquantisable(settled_encoder(0)))
    assert status == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("earmark-export: refused: int8 embeddings agree with torch at cosine")


def test_the_command_says_what_is_wrong_with_its_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    garbage = tmp_path / "garbage.pt"
    garbage.write_bytes(b"not an encoder")
    empty = tmp_path / "empty.pt"
    empty.write_bytes(b"")
    for path, text in (
        (tmp_path / "none.pt", "no encoder at"),
        (garbage, "is not an encoder of this version"),
        (empty, "is not an encoder of this version"),
    ):
        arguments = [str(path), "--corpus", str(tmp_path), "--output", str(tmp_path / "out")]
        assert main(arguments) == 1
        assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
