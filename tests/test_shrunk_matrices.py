"""Risk: a matrix in a few bits is not the one that was trained, or costs time at every call."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from tiny_corpus import settled_encoder

from edge.encoder import DEFAULT_MODEL, SHIPPED
from export.evaluate import WEIGHTS
from export.graphs import OPSET, export_graphs
from export.levelling import levelled
from export.shrinking import BITS, BLOCK, HEAD_BITS, shrink_matrices
from train.encoder_file import load_encoder

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning"
)  # of torch's own exporter
Matrix = NDArray[np.float32]


@settings(deadline=None, max_examples=20)
@given(
    arrays(np.float32, (7, BLOCK), elements=st.floats(-4.0, 4.0, width=16)),
    st.sampled_from([*HEAD_BITS, "another"]),
)
def test_the_runtime_multiplies_by_the_matrix_rounded_block_by_block(
    weights: Matrix, name: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        seen = multiplied_by(Path(folder), weights, name)
    bits = HEAD_BITS.get(name, BITS)
    # No block is farther off than if its largest weight were its largest number.
    by_largest = rounded_by_largest(weights, bits)
    off, plain = (np.square(x - weights).sum(axis=1) for x in (seen, by_largest))
    assert (off <= 1.01 * plain + 1e-6).all()
    for row in seen:
        assert len(np.unique(row)) <= 2**bits


def test_rare_large_weights_do_not_coarsen_the_others(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).standard_normal((64, BLOCK)).astype(np.float32)
    off = np.square(multiplied_by(tmp_path, weights, "encoder.head_in.weight") - weights).sum()
    by_largest = rounded_by_largest(weights, HEAD_BITS["encoder.head_in.weight"])
    assert off < 0.9 * np.square(by_largest - weights).sum()


@pytest.mark.parametrize("weights", [np.zeros((2, BLOCK)), np.ones((3, BLOCK - 1))])
def test_zeros_and_what_fills_no_whole_blocks_stay_as_they_are(
    tmp_path: Path, weights: Matrix
) -> None:
    weights = weights.astype(np.float32)
    np.testing.assert_array_equal(multiplied_by(tmp_path, weights, "another"), weights)


def rounded_by_largest(weights: Matrix, bits: int) -> Matrix:
    """Each row in numbers of so many bits, of which the least is the row's largest weight."""
    least = -(2 ** (bits - 1))
    place = np.abs(weights).argmax(axis=1)[:, None]
    step = np.take_along_axis(weights, place, axis=1) / least
    step[step == 0] = 1.0
    rounded: Matrix = np.rint(weights / step).clip(least, -least - 1) * step
    return rounded


def multiplied_by(folder: Path, weights: Matrix, name: str) -> Matrix:
    """What the runtime multiplies with, in the shrunk form of a graph with this matrix alone."""
    rows, columns = weights.shape
    x, y = (
        helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, ["rows", width])
        for value, width in (("x", rows), ("y", columns))
    )
    product = helper.make_node("MatMul", ["x", name], ["y"])
    constant = numpy_helper.from_array(weights, name)
    graph = helper.make_graph([product], "product", [x], [y], [constant])
    opset = helper.make_opsetid("", OPSET)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), folder / "float.onnx")
    shrink_matrices(folder / "float.onnx", folder / "shrunk.onnx")
    session = onnxruntime.InferenceSession(folder / "shrunk.onnx")
    seen: Matrix = session.run(None, {"x": np.eye(rows, dtype=np.float32)})[0]
    return seen


@pytest.mark.parametrize("graph", ["head.onnx", "segmenter.onnx"])
def test_a_shrunk_graph_once_loaded_is_the_float_graph(tmp_path: Path, graph: str) -> None:
    """Nothing is unpacked at each call, or multiplied by something less exact."""
    export_graphs(settled_encoder(0), tmp_path)
    shrink_matrices(tmp_path / graph, tmp_path / "shrunk.onnx")
    assert operations_once_loaded(tmp_path / "shrunk.onnx") == operations_once_loaded(
        tmp_path / graph
    )


@pytest.mark.parametrize("graph", ["head.onnx", "segmenter.onnx"])
def test_the_shipped_graphs_once_loaded_are_those_of_the_shipped_weights(
    tmp_path: Path, graph: str
) -> None:
    export_graphs(levelled(load_encoder(WEIGHTS / "small.pt")), tmp_path)
    shipped = operations_once_loaded(DEFAULT_MODEL / graph)
    assert shipped == operations_once_loaded(tmp_path / graph)


@pytest.mark.parametrize("name", ["small", "tiny"])
def test_the_runtime_makes_every_convolution_one_of_bytes(name: str) -> None:
    """Its bias and its rectifier are part of it then; all but the sums, which stay in float32."""
    operations = operations_once_loaded(SHIPPED / name / "frames.onnx")
    assert operations.count("QLinearConv") > 30
    assert operations.count("Conv") == 1
    assert not {"MatMul", "Gemm", "Relu"} & set(operations)


def operations_once_loaded(graph: Path) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = f"{folder}/loaded.onnx"
        onnxruntime.InferenceSession(graph, options)
        return [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]


@pytest.mark.parametrize(("name", "most"), [("small", 550_000), ("tiny", 177_000)])
def test_the_shipped_head_and_segmenter_are_small(name: str, most: int) -> None:
    """Of a model of 3 MB, beside the frames graph's 2.45."""
    sizes = [(SHIPPED / name / graph).stat().st_size for graph in ("head.onnx", "segmenter.onnx")]
    assert sum(sizes) <= most
