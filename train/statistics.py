"""The additive statistics of frames: what the encoder says of each, and what is summed of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class FrameOutputs(NamedTuple):
    """What the network says of each encoder frame."""

    weights: Tensor  # (batch, time, features), in (0, 1)
    features: Tensor  # (batch, time, features)
    activity: Tensor  # (batch, time, 3): log-odds of speech; later, of speech and of overlap


def sum_statistics(outputs: FrameOutputs, dim: int) -> Tensor:
    """Sums over the axis `dim`, (n, Σw, Σw·h, Σw·h², Σp) along the last axis."""
    return torch.cat([x.sum(dim=dim) for x in terms(outputs)], dim=-1)


def terms(outputs: FrameOutputs) -> tuple[Tensor, ...]:
    """What is summed of frames: 1, w, w·h, w·h² and p, each (..., values)."""
    w, h, activity = outputs
    return torch.ones_like(w[..., :1]), *summands(w, h), torch.sigmoid(activity)


def summands(w: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What is summed of weights and features: w, w·h and w·h²."""
    wh = w * h
    return w, wh, wh * h
