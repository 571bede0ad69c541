"""Risk: an encoder that was not made here is heard otherwise in the runtime than by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from test_cli_errors import earmark
from tiny_corpus import ASSETS, build_corpus, conversation

from edge._native import Fbank, FbankOptions
from edge.encoder import EncoderStream, Model
from export.cli import main
from export.graphs import CHUNK, OPSET
from export.metadata import write_spec
from export.windowed import WINDOW, write_windowed

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own exporter
Audio = NDArray[np.float32]
SIZE = 24


class Ordinary(torch.nn.Module):
    """A map of frames, and what it gives on average over the utterance."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.map = torch.nn.Conv1d(80, SIZE, 5, padding=2)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        mapped: torch.Tensor = self.map(frames.transpose(1, 2))
        return mapped.abs().mean(dim=2)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("ordinary") / "ordinary.onnx"
    torch.onnx.export(
        Ordinary(),
        (torch.zeros(1, 50, 80),),
        path,
        input_names=["frames"],
        output_names=["embedding"],
        dynamic_axes={"frames": {1: "time"}},
        opset_version=OPSET,
        dynamo=False,
    )
    return path


@pytest.fixture(scope="module")
def model(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("model")
    write_spec(folder, write_windowed(encoder, folder, "ordinary"))
    return Model.load(folder)


def test_every_window_is_heard_as_the_encoder_hears_it(encoder: Path, model: Model) -> None:
    audio = conversation()[: 16000 * 4]
    records = EncoderStream(model).push(audio)
    fbank = Fbank(FbankOptions()).push(audio)
    session = onnxruntime.InferenceSession(encoder, providers=["CPUExecutionProvider"])
    for chunk in range(len(records) // 2):
        end = CHUNK * (chunk + 1)
        window = fbank[max(0, end - WINDOW) : end]
        (row,) = session.run(None, {"frames": (window - window.mean(axis=0))[None]})[0]
        for record in records[2 * chunk : 2 * chunk + 2].astype(np.float64):
            np.testing.assert_allclose(
                model.embed(record[None])[0], row / np.linalg.norm(row), atol=1e-5
            )


def test_speech_and_overlap_are_what_the_shipped_encoder_says_at_the_same_moments(
    model: Model,
) -> None:
    audio = conversation()[: 16000 * 20]
    told = {}
    for one in (Model.load(), model):
        records = EncoderStream(one).push(audio)
        starts = np.arange(len(records)) * one.record_samples - one.delay
        activity = records[:, -3:] / records[:, :1]
        told[one.id] = {start: row for start, row in zip(starts, activity, strict=True)}
    shipped, windowed = told.values()
    common = sorted(shipped.keys() & windowed.keys())
    assert len(common) > 180
    for start in common:
        np.testing.assert_allclose(windowed[start], shipped[start], atol=1e-6)


def test_blocks_of_any_size_give_the_same_records(model: Model) -> None:
    audio = conversation()[: 16000 * 3]
    whole, stream = EncoderStream(model).push(audio), EncoderStream(model)
    parts = [stream.push(part) for part in np.array_split(audio, [1, 700, 9000, 9001, 30000])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_record_is_told_of_the_middle_of_its_window(model: Model) -> None:
    random, change = np.random.default_rng(0), 16000 * 4
    rough = 0.1 * random.standard_normal(2 * change)
    smooth = np.convolve(rough, np.ones(16) / 16, mode="same")
    late = []
    for before, behind in ((rough, smooth), (smooth, rough)):  # one of the two is heard sooner
        audio = np.concatenate([before[:change], behind[change:]]).astype(np.float32)
        embeddings = model.embed(EncoderStream(model).push(audio).astype(np.float64))
        first, last = embeddings[30], embeddings[-1]  # of windows of one sound alone
        share = (embeddings - first) @ (last - first) / np.sum((last - first) ** 2)
        half = np.argmax(share[30:] > 0.5) + 30
        late.append(half * model.record_samples - model.delay - change)
    assert abs(np.mean(late)) < 16000 * 0.15


def test_the_command_puts_an_ordinary_encoder_to_work(encoder: Path, tmp_path: Path) -> None:
    corpus, output = build_corpus(tmp_path / "corpus"), tmp_path / "mine"
    words = [str(encoder), "--corpus", str(corpus), "--cache", str(tmp_path / "cache")]
    assert main([*words, "--output", str(output)]) == 0
    spec = Model.load(output).spec
    assert (spec.name, spec.embedding, spec.precision) == ("mine", SIZE, "float32")
    assert "ordinary.onnx" in (output / "README.md").read_text()
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []
    talk = str(ASSETS / "conversation.flac")
    heard = earmark("diarize", talk, "--model", str(output), "--rttm", "-")
    assert heard.returncode == 0, heard.stderr
    assert heard.stdout.count("SPEAKER conversation") > 5


def test_other_outputs_and_constants_that_are_inputs_do_no_harm(
    encoder: Path, model: Model, tmp_path: Path
) -> None:
    """Older exporters list the weights among the inputs."""
    graph = onnx.load(encoder)
    weight = graph.graph.initializer[0]
    graph.graph.input.append(
        onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
    )
    graph.graph.node.append(onnx.helper.make_node("Identity", ["embedding"], ["again"]))
    graph.graph.output.append(onnx.helper.make_tensor_value_info("again", 1, [1, SIZE]))
    onnx.save(graph, tmp_path / "other.onnx")
    write_spec(tmp_path, write_windowed(tmp_path / "other.onnx", tmp_path, "ordinary"))
    audio = conversation()[:16000]
    heard, usual = (EncoderStream(one).push(audio) for one in (Model.load(tmp_path), model))
    np.testing.assert_array_equal(heard, usual)


@pytest.mark.parametrize("content", [b"no graph", b""])
def test_what_is_no_encoder_is_refused_and_leaves_the_old_model(
    content: bytes, model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder, output = tmp_path / "bad.onnx", tmp_path / "model"
    encoder.write_bytes(content)
    output.mkdir()
    (output / "frames.onnx").write_bytes(b"the old one")
    assert main([str(encoder), "--corpus", str(tmp_path), "--output", str(output)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "bad.onnx does not work" in line and "(1, time, 80)" in line
    assert (output / "frames.onnx").read_bytes() == b"the old one"
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []
