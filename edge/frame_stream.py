"""One stream through a frames graph: fbank in, records out, chunk by chunk."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

_TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}  # that a state may be of

Frames = NDArray[np.float32]


class ChunkStream(Protocol):
    """What makes records of one stream's chunks; at first it has heard nothing."""

    def push(self, fbank: Frames) -> Frames:
        """Records (n, size) of one chunk (frames, mels), as many frames as the graph takes."""
        ...


class FrameStream:
    """Remembers what the graph has to know of the chunks before; at first it has heard nothing.

    For each state the graph returns (1, time, ...), of which it wants the last frames back, as
    many as its input has. It reads and writes memory that it is told of once: arrays handed over at
    each chunk would cost it a tenth of its time.
    """

    def __init__(self, graph: onnxruntime.InferenceSession) -> None:
        self._graph = graph
        inputs, outputs = graph.get_inputs(), graph.get_outputs()
        (fbank, *states), (records, *heard) = inputs, outputs
        for state in states:
            if len(state.shape) < 2 or state.shape[0] != 1:
                raise ValueError(f"{state.name} is {state.shape}, expected (1, time, ...)")
        self._fbank = _zeros(fbank)
        self._records = _zeros(records)
        # What one chunk writes the next one reads, and the other way round.
        returned = [[_zeros(value) for value in heard] for _ in range(2)]
        self._states: list[list[NDArray[Any]]] = [
            [new[:, -state.shape[1] :] for state, new in zip(states, ones, strict=True)]
            for ones in returned
        ]
        self._bindings = []
        for state, new in zip(self._states, reversed(returned), strict=True):
            binding = graph.io_binding()
            for value, array in zip(inputs, [self._fbank, *state], strict=True):
                binding.bind_input(value.name, *_place(array))
            for value, array in zip(outputs, [self._records, *new], strict=True):
                binding.bind_output(value.name, *_place(array))
            self._bindings.append(binding)
        self._turn = 0

    @property
    def state(self) -> list[NDArray[Any]]:
        """What the next chunk will be heard with, as the graph's inputs behind the fbank."""
        return self._states[self._turn]

    def push(self, fbank: Frames) -> Frames:
        """Records (n, size) of one chunk (frames, mels), as many frames as the graph takes."""
        self._fbank[0] = fbank
        self._graph.run_with_iobinding(self._bindings[self._turn])
        self._turn = 1 - self._turn
        records: Frames = self._records[0].copy()
        return records


def _zeros(value: Any) -> NDArray[Any]:
    return np.zeros(value.shape, _TYPES[value.type])


def _place(array: NDArray[Any]) -> tuple[Any, ...]:
    """Where an array of the graph lies, as ONNX Runtime is told."""
    return "cpu", 0, array.dtype.type, array.shape, array.ctypes.data
