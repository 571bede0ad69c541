"""Scales of int8 weights whose products fit into the 16 bits that many CPUs add them in.

A CPU with AVX2 but no VNNI multiplies two uint8 activations by two int8 weights and adds the
products to an int16 that saturates (VPMADDUBSW). 255 x (100 + 100) does not fit: there, the same
file would give other embeddings than elsewhere. The `reduce_range` of onnxruntime keeps all
weights within 7 bits for this; that two neighbours stay within 128 together is enough, and costs
half of that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LARGEST = 127  # of two neighbours of one sign together; 255 x 128 fits, so each may be rounded up


def fitting_scales(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The least scale of each filter (outputs,) with which none of its sums saturates.

    Args:
        weights: of a convolution, (outputs, inputs, taps...); not of a depthwise one, which
            onnxruntime adds up in 32 bits. Neighbours are two inputs; where there are several
            taps, whose order is onnxruntime's own affair, any two weights.
    """
    filters = weights.reshape(*weights.shape[:2], -1)
    if filters.shape[2] > 1:
        sums = 2.0 * np.abs(filters).max(axis=(1, 2))
    else:
        rows = np.pad(filters[:, :, 0], ((0, 0), (0, filters.shape[1] % 2)))
        pairs = rows.reshape(len(rows), -1, 2)
        up, down = np.maximum(pairs, 0.0).sum(axis=2), np.maximum(-pairs, 0.0).sum(axis=2)
        sums = np.maximum(up, down).max(axis=1)
    scales: NDArray[np.float32] = np.maximum(sums / LARGEST, 1e-12).astype(np.float32)
    return scales
