"""Risk: what ships computes something other than what was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from tiny_corpus import ASSETS, conversation, settled_encoder

from edge._native import Fbank, FbankOptions
from edge.encoder import GRAPHS, METADATA_KEY, SHIPPED, EncoderStream, Model
from edge.front_end import front_end_hash
from edge.rttm import read_rttm
from edge.scoring import directions
from export.evaluate import WEIGHTS
from export.gate import MIN_INT8_COSINE
from export.graphs import export_graphs, folded
from export.levelling import levelled
from export.metadata import model_spec, write_spec
from export.parity import stream_embedder, torch_embedder, torch_records
from train.encoder import Encoder
from train.encoder_file import load_encoder

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning"
)  # of torch's own exporter
Audio = NDArray[np.float32]


@pytest.fixture(scope="module")
def audio() -> Audio:
    return conversation()


@pytest.fixture(scope="module", params=["small", "tiny"])
def folder(request: pytest.FixtureRequest) -> Path:
    """Of a model that ships."""
    return SHIPPED / str(request.param)


@pytest.fixture(scope="module")
def shipped(folder: Path) -> tuple[Encoder, Model]:
    """The trained weights and the model made from them; both belong to the repository."""
    weights = WEIGHTS / f"{folder.name}.pt"
    return levelled(load_encoder(weights)), Model.load(Path(folder.name))


def ragged(audio: Audio, seed: int) -> list[Audio]:
    """The samples in blocks of 0 to 5,000, some of one sample."""
    random = np.random.default_rng(seed)
    sizes = np.where(random.random(2000) < 0.1, random.integers(2, size=2000), 0)
    sizes = np.where(sizes == 0, random.integers(5000, size=2000), sizes)
    ends = np.cumsum(sizes)
    return np.split(audio, ends[ends < len(audio)])


def chunked_frames(model: Model, audio: Audio) -> Audio:
    """All frames of the recording that make up whole chunks."""
    frames = Fbank(model.fbank_options).push(audio)
    chunk = model.spec.frames_per_chunk
    return frames[: len(frames) // chunk * chunk]


def streamed(model: Model, blocks: list[Audio]) -> Audio:
    stream = EncoderStream(model)
    return np.concatenate([stream.push(block) for block in blocks])


@pytest.mark.parametrize("seed", range(3))
def test_float_onnx_streamed_in_ragged_blocks_equals_torch_in_one_shot(
    tmp_path: Path, audio: Audio, seed: int
) -> None:
    encoder = settled_encoder(seed)
    export_graphs(encoder, tmp_path)
    write_spec(tmp_path, model_spec(encoder.config, "tiny", "", "", "float32"))
    model = Model.load(tmp_path)
    audio = audio[: 20 * 16000]
    records = streamed(model, ragged(audio, seed))
    expected = torch_records(encoder, chunked_frames(model, audio))
    assert records.shape == expected.shape == (198, encoder.statistics_size)
    # Of each statistic's largest value; each of the two is up to 8e-6 from double precision.
    size = np.abs(expected).max(axis=0)
    assert (np.abs(records - expected) / size).max() < 2e-5

    sums = np.cumsum(expected, axis=0, dtype=np.float64)[9::20]
    with torch.inference_mode():
        rows = encoder.head(torch.from_numpy(sums).float())
    expected = rows.numpy()
    np.testing.assert_allclose(model.embed(sums), expected, atol=2e-5 * np.abs(expected).max())


def test_folding_away_the_normalisations_changes_the_network_but_not_what_it_computes(
    audio: Audio,
) -> None:
    encoder = settled_encoder(1)
    frames = Fbank(FbankOptions()).push(audio)[:400]
    # Without normalisation the outputs would be far off: the folding has something to do.
    assert all(
        (module.running_var.sqrt() - 1.0).abs().max() > 0.2
        for module in encoder.blocks.modules()
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
        and module.running_var is not None
    )
    before = torch_records(encoder, frames)
    without = folded(encoder)
    kinds = {type(module).__name__ for module in without.blocks.modules()}
    assert not any("BatchNorm" in kind for kind in kinds)
    after = torch_records(without, frames)
    assert (np.abs(before - after) / np.abs(before).max(axis=0)).max() < 1e-5
    np.testing.assert_array_equal(torch_records(encoder, frames), before)  # the original is whole


def test_the_shipped_graphs_were_made_from_the_shipped_weights(
    shipped: tuple[Encoder, Model], audio: Audio
) -> None:
    encoder, model = shipped
    records = torch_records(encoder, chunked_frames(model, audio))
    sums = np.cumsum(records, axis=0, dtype=np.float64)[9::50]
    with torch.inference_mode():
        rows = encoder.head(torch.from_numpy(sums).float())
        unit = torch.nn.functional.normalize(rows).numpy()
    # The head's arithmetic is float32: only its weights are rounded, whatever int8 does to frames.
    embeddings, norms = directions(model.embed(sums))
    assert (embeddings * unit).sum(axis=1).min() > 0.997
    np.testing.assert_allclose(np.exp(norms), rows.norm(dim=1).numpy(), rtol=0.02)


def test_shipped_int8_embeddings_agree_with_torch_on_the_bundled_conversation(
    shipped: tuple[Encoder, Model], audio: Audio
) -> None:
    encoder, model = shipped
    reference = torch_records(encoder, chunked_frames(model, audio)).astype(np.float64)
    quantised = streamed(model, ragged(audio, 0)).astype(np.float64)
    assert quantised.shape == reference.shape
    np.testing.assert_array_equal(quantised[:, 0], reference[:, 0])  # counts are exact
    turns = [t for t in read_rttm(ASSETS / "conversation.rttm") if t.end - t.start >= 1.5]
    assert len(turns) >= 12
    spans = [slice(round(t.start * 10), round(t.end * 10)) for t in turns]
    ours, _ = directions(model.embed(np.stack([quantised[span].sum(axis=0) for span in spans])))
    sums = np.stack([reference[span].sum(axis=0) for span in spans])
    with torch.inference_mode():
        rows = torch.nn.functional.normalize(encoder.head(torch.from_numpy(sums).float()))
    cosines = (ours * rows.numpy()).sum(axis=1)
    assert cosines.mean() >= MIN_INT8_COSINE, np.round(cosines, 3)
    assert MIN_INT8_COSINE >= 0.99


@pytest.mark.parametrize("seconds", [0.3, 1.5, 3.0])
def test_embeddings_are_of_all_records_that_lie_in_the_audio(
    shipped: tuple[Encoder, Model], audio: Audio, seconds: float
) -> None:
    """The last tenth of a second is a fifteenth of a short crop, and rivals hear it."""
    encoder, model = shipped
    crop = audio[7 * 16000 :][: round(16000 * seconds)]
    records = streamed(model, [crop, np.zeros(8000, dtype=np.float32)])[: round(10 * seconds)]
    expected, _ = directions(model.embed(records.astype(np.float64).sum(axis=0)[None]))
    ours = stream_embedder(model)(crop)
    np.testing.assert_allclose(ours, expected[0], atol=1e-6)
    assert ours @ torch_embedder(encoder, model)(crop) > MIN_INT8_COSINE


def test_the_shipped_metadata_say_what_the_graphs_are(
    folder: Path, shipped: tuple[Encoder, Model]
) -> None:
    encoder, model = shipped
    spec, config = model.spec, encoder.config
    made = model_spec(config, folder.name, spec.training_data, spec.licence, "int8")
    different = {
        name for name in made.__struct_fields__ if getattr(made, name) != getattr(spec, name)
    }
    found = {"across", "calibration_within", "resemblance", "fingerprint"}
    assert different == found, "of the graphs, all else as the exporter would write it"
    assert spec.front_end_hash == front_end_hash(FbankOptions())
    assert model.statistics_size == encoder.statistics_size
    for odds in (spec.across.alone, spec.across.among, spec.calibration_within):
        assert odds.weights[2] > 0, "a higher cosine is evidence for the same speaker"
    for odds in (spec.across.alone, spec.across.among):
        assert odds.weights[4] < 0, "the more noise, the less a cosine says"
    assert 0.0 < spec.across.usual < 0.2
    assert spec.calibration_within.weights[3:] == (0, 0)
    assert 0.0 < spec.resemblance.usual[0] < 0.4
    assert spec.resemblance.shift[0] < 0, "where all are alike, a cosine says less"
    assert spec.training_data
    texts = []
    for name in GRAPHS:
        entries = onnx.load(folder / name).metadata_props
        assert [entry.key for entry in entries] == [METADATA_KEY]
        texts.append(entries[0].value)
    assert len(set(texts)) == 1


def test_the_shipped_head_keeps_its_matrices_in_few_bits(folder: Path) -> None:
    constants = [
        numpy_helper.to_array(t) for t in onnx.load(folder / "head.onnx").graph.initializer
    ]
    assert sorted(len(v) for v in constants if v.dtype == np.uint8 and v.size > 3000) == [3, 5, 6]
    assert max(v.nbytes for v in constants if v.dtype == np.float32) <= 4096  # no matrix


def test_the_shipped_frames_graph_is_int8_in_every_matrix(folder: Path) -> None:
    graph = onnx.load(folder / "frames.onnx").graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    products = [node for node in graph.node if node.op_type in {"MatMul", "Gemm", "Conv"}]
    (sums,) = (node for node in products if node.output[0] == graph.output[0].name)
    assert set(np.unique(constants[sums.input[1]])) == {0.0, 1.0}
    products.remove(sums)
    assert len(products) >= 20
    for node in products:
        activation, weight = (producers[name] for name in node.input[:2])
        assert activation.op_type == weight.op_type == "DequantizeLinear", node.output[0]
        assert constants[activation.input[2]].dtype == np.uint8, node.output[0]
        assert len(weight.input) == 2, f"{node.output[0]}: symmetric"
        values, scales = (constants[name] for name in weight.input)
        assert values.dtype == np.int8, node.output[0]
        axis = next(a.i for a in weight.attribute if a.name == "axis")
        assert scales.shape == (values.shape[axis],), f"{node.output[0]}: a scale per channel"
        assert len(np.unique(scales)) > 1, node.output[0]
    matrices = {name: v for name, v in constants.items() if v.dtype == np.float32 and v.ndim > 1}
    left = {name for name, v in matrices.items() if np.ptp(v) > 0}  # not the counts of frames
    assert left == {sums.input[1]}, "no other matrix of float32 stays"
    quantisers = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert {constants[node.input[2]].dtype for node in quantisers} == {np.dtype(np.uint8)}
