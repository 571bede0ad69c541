"""Whitening: every direction of the embedding space given the weight that it deserves.

An encoder taught by distillation foretells well what a corpus and its microphones have in common,
and hardly dares to say what sets one voice apart: the latter comes out too small, and cosines are
ruled by the former. Scaled to alike variance over many voices, both count alike. The map is linear
and becomes part of the head's last layers; it costs nothing at run time.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from train.encoder import Encoder

Matrix = NDArray[np.float64]


def whitening(rows: NDArray[np.floating], ridge: float) -> Matrix:
    """The symmetric map (size, size) that makes unit-length `rows` (count, size) alike in variance.

    Directions of hardly any variance are noise: `ridge`, a share of the mean variance, is added to
    every direction's before its root is divided out.
    """
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    variances, axes = np.linalg.eigh(np.cov(unit.T.astype(np.float64)))
    scales = 1.0 / np.sqrt(variances + ridge * variances.mean())
    whole: Matrix = (axes * scales) @ axes.T
    return whole * (len(whole) / np.trace(whole))  # type: ignore[no-any-return]


def whiten_head(encoder: Encoder, rows: NDArray[np.floating], ridge: float) -> None:
    """Make centring and whitening part of the head, by its embeddings `rows` of many voices."""
    device = encoder.head_linear.weight.device
    matrix = torch.from_numpy(whitening(rows, ridge)).float().to(device)
    mean = torch.from_numpy(rows.mean(axis=0)).float().to(device)
    with torch.no_grad():
        for layer in (encoder.head_linear, encoder.head_out):
            layer.weight.copy_(matrix @ layer.weight)
            layer.bias.copy_(matrix @ layer.bias)
        encoder.head_linear.bias.sub_(matrix @ mean)
