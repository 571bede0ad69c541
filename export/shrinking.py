"""Matrices of a float graph in a few bits a weight.

The runtime turns them back to float32 once, when it loads the graph: a small file, and arithmetic
as exact as before. They are unpacked by operations that every version of it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

BLOCK = 32  # weights side by side that share a scale
BITS = 4
FEWEST, MOST = 3, 8  # bits
SHARES = np.linspace(1.0, 0.5, 21)  # of the largest weight of a block that are tried as the largest
# In as many bytes, 4 bits for all turn embeddings twice as far: a coarse hidden layer is enough for
# the little that it adds to what the linear map says.
HEAD_BITS = {
    "encoder.head_in.weight": 3,
    "encoder.head_linear.weight": 6,
    "encoder.head_out.weight": 5,
}
_NOTHING = np.array(128, dtype=np.uint8)  # old versions of the runtime multiply no signed bytes
_EIGHT_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)  # of every byte


def shrink_matrices(source: Path, target: Path, least_bits: int = FEWEST) -> None:
    """Write a float graph with its matrices in a few bits a weight; those not of whole blocks stay.

    None has fewer than `least_bits`. What tells the runtime nothing is left out: see `shorten`.
    """
    model = onnx.load(source)
    graph = model.graph
    constants: dict[str, NDArray[Any]] = {}
    unpacking = []
    for tensor in [t for t in graph.initializer if len(t.dims) == 2]:
        weights = onnx.numpy_helper.to_array(tensor)
        if weights.size % BLOCK:
            continue
        name = tensor.name
        bits = max(HEAD_BITS.get(name, BITS), least_bits)
        planes, scales = _pack(weights, bits)
        constants |= {
            "eight_bits": _EIGHT_BITS,
            "in_blocks": np.array([-1, BLOCK]),
            "worth_nothing": _NOTHING,
            f"{name}_planes": planes,
            f"{name}_scales": scales,
            f"{name}_shape": np.array(weights.shape),
            f"worth_of_{bits}": _worth(bits)[None],
            f"in_{bits}_planes": np.array([bits, -1]),
        }
        graph.initializer.remove(tensor)
        unpacking += _unpack(name, bits)
    for name, values in constants.items():
        graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    for node in reversed(unpacking):
        graph.node.insert(0, node)
    shorten(graph)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def _pack(weights: NDArray[np.float32], bits: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Weights as whole numbers of so many bits, rounded to nearest, and their scales.

    Returns:
        The numbers in two's complement (bits, weights / 8): of eight in a row the first bits, the
        lowest, in a byte, then the second ones. And by block (blocks, 1) what a number is
        multiplied with: of several scales, by most of which the largest weight of a block, in size,
        is beyond the least number and cut, the one by which its numbers are least off.
    """
    blocks = weights.reshape(-1, BLOCK)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)
    least = -(2 ** (bits - 1))
    best = np.full((len(blocks), 1), np.inf)
    scales, numbers = np.zeros((len(blocks), 1), np.float16), np.zeros(blocks.shape, np.int8)
    for share in SHARES:
        tried = (largest / least * share).astype(np.float16)
        tried[tried == 0] = 1  # of a block of zeros
        steps = tried.astype(np.float32)
        rounded = np.rint(blocks / steps).clip(least, -least - 1).astype(np.int8)
        off = np.square(rounded * steps - blocks).sum(axis=1, keepdims=True)
        better = off < best
        best = np.where(better, off, best)
        scales, numbers = np.where(better, tried, scales), np.where(better, rounded, numbers)
    planes = numbers.reshape(1, -1) >> np.arange(bits)[:, None] & 1
    return np.packbits(planes, axis=1), scales


def _worth(bits: int) -> NDArray[np.uint8]:
    """Of each bit of a number in two's complement, above `_NOTHING`."""
    worth = 2 ** np.arange(bits)
    worth[-1] *= -1
    return (_NOTHING + worth).astype(np.uint8)


def _unpack(name: str, bits: int) -> list[Any]:
    """Nodes that make a matrix of its constants."""
    nodes: list[Any] = []

    def made(operation: str, inputs: Sequence[str], output: str = "", **settings: Any) -> str:
        output = output or f"{name}_{len(nodes)}"
        nodes.append(onnx.helper.make_node(operation, inputs, [output], **settings))
        return output

    bytes_ = made("Cast", [f"{name}_planes"], to=onnx.TensorProto.INT32)
    bit_by_bit = made("Gather", ["eight_bits", bytes_])
    planes = made("Reshape", [bit_by_bit, f"in_{bits}_planes"])
    numbers = made("MatMulInteger", [f"worth_of_{bits}", planes, "worth_nothing"])
    blocks = made("Reshape", [made("Cast", [numbers], to=onnx.TensorProto.FLOAT), "in_blocks"])
    scales = made("Cast", [f"{name}_scales"], to=onnx.TensorProto.FLOAT)
    made("Reshape", [made("Mul", [blocks, scales]), f"{name}_shape"], output=name)
    return nodes


def shorten(graph: Any) -> None:
    """Leave out nodes' names and values' shapes, and number the values that nobody asks for."""
    graph.ClearField("value_info")
    asked_for = {value.name for value in [*graph.input, *graph.output]}
    made = [name for node in graph.node for name in node.output]
    inner = [name for name in [*(t.name for t in graph.initializer), *made] if name]
    short = {name: f"{i:x}" for i, name in enumerate(inner) if name not in asked_for}
    for tensor in graph.initializer:
        tensor.name = short.get(tensor.name, tensor.name)
    for node in graph.node:
        node.ClearField("name")
        for names in (node.input, node.output):
            names[:] = [short.get(name, name) for name in names]
