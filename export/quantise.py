"""Static int8 quantisation of the frames graph: uint8 activations, int8 weights per channel.

The result is the same on every CPU: see `saturation`.

The sums at the end stay in float32: they range over the length of speech. The arithmetic of the
head and the segmenter stays in float32, too, being 0.1 % of the work: see `shrinking`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from edge.frame_stream import FrameStream
from export.saturation import fitting_scales
from export.shrinking import shorten

# The trunk. Sums carry values of mixed range: left in float.
QUANTISED = ("Conv", "Add", "Relu", "Slice", "Transpose", "Reshape")
RANGE_PERCENTILE = 99.999  # of an activation; one rare value would make every step coarser


class _StreamInputs(CalibrationDataReader):
    """Chunks of real streams, each with the state that the float graph has there."""

    def __init__(self, graph: Path, streams: Iterable[NDArray[np.float32]], chunk: int) -> None:
        self._calls = _calls(graph, streams, chunk)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next((inputs for inputs, _ in self._calls), None)


def _calls(
    graph: Path, streams: Iterable[NDArray[np.float32]], chunk: int
) -> Iterator[tuple[dict[str, NDArray[Any]], NDArray[np.float32]]]:
    """Inputs and records of every call of a frames graph in which it hears the streams."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    for frames in streams:
        stream = FrameStream(session)
        for start in range(0, len(frames) - chunk + 1, chunk):
            new = frames[start : start + chunk]
            arrays = [new[None], *(array.copy() for array in stream.state)]
            yield dict(zip(names, arrays, strict=True)), stream.push(new)


def quantise_frames(
    source: Path,
    target: Path,
    streams: Iterable[NDArray[np.float32]],
    chunk: int,
    float_blocks: Collection[int] = (),
) -> None:
    """Write the int8 form of a float frames graph.

    Args:
        source: `frames.onnx` in float32.
        target: file to write.
        streams: log-mel frames (time, mels) of real recordings, which fix the activations' ranges.
        chunk: frames a call.
        float_blocks: blocks of the trunk that are left in float.
    """
    with tempfile.TemporaryDirectory() as temporary:
        prepared = Path(temporary) / "prepared.onnx"
        quant_pre_process(source, prepared)
        floating = onnx.load(prepared)
        with redirect_stdout(StringIO()):  # the calibrator reports its progress there
            quantize_static(
                prepared,
                target,
                _StreamInputs(source, streams, chunk),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTISED),
                nodes_to_exclude=_float_nodes(floating, float_blocks),
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                calibrate_method=CalibrationMethod.Percentile,
                extra_options={
                    "CalibPercentile": RANGE_PERCENTILE,
                    "QuantizeBias": False,  # the runtime does, with the scales that it has anyway
                    "TensorQuantOverrides": _weight_scales(floating),
                },
            )
    model = onnx.load(target)
    _quantise_states(model)
    _leave_out_the_obvious(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def next_float_block(
    source: Path,
    target: Path,
    streams: Sequence[NDArray[np.float32]],
    chunk: int,
    float_blocks: Collection[int],
) -> int:
    """The block whose return to float, on top of `float_blocks`, helps the records most.

    Judged by the squared error of the records; `target` is overwritten.
    """
    exact = _records(source, streams, chunk)
    errors = {}
    for block in sorted(_blocks(onnx.load(source)) - set(float_blocks)):
        quantise_frames(source, target, streams, chunk, {*float_blocks, block})
        errors[block] = float(np.sum((_records(target, streams, chunk) - exact) ** 2))
    return min(errors, key=errors.__getitem__)


def _records(
    graph: Path, streams: Iterable[NDArray[np.float32]], chunk: int
) -> NDArray[np.float32]:
    return np.concatenate([records for _, records in _calls(graph, streams, chunk)])


def _blocks(model: Any) -> set[int]:
    """Numbers of the trunk's blocks, from the names that torch's exporter gives their nodes."""
    found = (re.match(r"/blocks\.(\d+)/", node.name) for node in model.graph.node)
    return {int(match[1]) for match in found if match}


def _quantise_states(model: Any) -> None:
    """Let the states be uint8 where the graph rounds them anyway: the same values, fewer steps."""
    graph = model.graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for state, new_state in zip(graph.input[1:], graph.output[1:], strict=True):
        rounding = _rounding(graph, state.name)
        if rounding is None or constants[rounding[1]] != 0:  # a stream begins with zeros
            continue
        for node in graph.node:
            _rename(node.input, state.name, f"{state.name}_float")
            _rename(node.output, new_state.name, f"{new_state.name}_float")
        for value in (state, new_state):
            value.type.tensor_type.elem_type = onnx.TensorProto.UINT8
        graph.node.insert(
            0, _round("DequantizeLinear", state.name, f"{state.name}_float", rounding)
        )
        graph.node.append(
            _round("QuantizeLinear", f"{new_state.name}_float", new_state.name, rounding)
        )


def _leave_out_the_obvious(graph: Any) -> None:
    """What the runtime takes to be so, zero points of 0 of the weights, and names: 200 kB."""
    zeros = {
        tensor.name: tensor
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8
        and tensor.name.endswith("_zero_point")
        and not onnx.numpy_helper.to_array(tensor).any()
    }
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[-1] in zeros:
            del node.input[-1]
    for tensor in zeros.values():
        graph.initializer.remove(tensor)
    shorten(graph)


def _rounding(graph: Any, value: str) -> list[str] | None:
    """Names of the scale and zero point to which a state is rounded beside what follows it."""
    users = [node for node in graph.node if value in node.input]
    for node in users:
        if node.op_type == "QuantizeLinear":
            return list(node.input[1:])
    moved = [node.output[0] for node in users if node.op_type in {"Transpose", "Concat"}]
    return next((found for new in moved if (found := _rounding(graph, new))), None)


def _round(kind: str, old: str, new: str, rounding: Sequence[str]) -> Any:
    return onnx.helper.make_node(kind, [old, *rounding], [new], f"{new}_{kind}")


def _rename(names: Any, old: str, new: str) -> None:
    names[:] = [new if name == old else name for name in names]


def _weight_scales(model: Any) -> dict[str, list[dict[str, Any]]]:
    """What `quantize_static` is told of each weight of a dense convolution, filter by filter."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    overrides = {}
    for node in model.graph.node:
        groups = [attribute.i for attribute in node.attribute if attribute.name == "group"]
        if node.op_type != "Conv" or groups not in ([], [1]):
            continue
        scales = fitting_scales(onnx.numpy_helper.to_array(tensors[node.input[1]]))
        overrides[node.input[1]] = [
            {"quant_type": QuantType.QInt8, "axis": 0, "scale": scale, "zero_point": np.int8(0)}
            for scale in scales
        ]
    return overrides


def _float_nodes(model: Any, float_blocks: Collection[int]) -> list[str]:
    """From the features to the sums, and the blocks kept in float."""
    kept = ("/sums/", *(f"/blocks.{block}/" for block in float_blocks))
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Mul" or node.name.startswith(kept)
    ]
