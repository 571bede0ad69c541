"""A wider encoder that begins as the function of a narrower one (Net2Net, Chen et al., 2016).

New channels begin with random weights, and nothing old reads them: what comes out is the narrower
encoder's until training moves it. What that one cost to train is not spent again.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edge.errors import EarmarkError
from train.encoder import Encoder, EncoderConfig

WIDTHS = ("channels", "features", "attention", "head_hidden")  # that may grow
# Two things side by side: depths of the trunk, or means and deviations of the features.
OF_TWO = (
    "feature.linear.weight",
    "activity.inner.weight",
    "head_linear.weight",
    "head_in.weight",
    *(f"head_norm.{name}" for name in ("weight", "bias", "running_mean", "running_var")),
)


def grow(narrow: Encoder, config: EncoderConfig) -> Encoder:
    """An encoder of the shape `config` that computes what `narrow` does, in evaluation mode.

    Raises:
        EarmarkError: `config` differs in more than widths, or is narrower somewhere.
    """
    wrong = [
        f"encoder.{name} {old} (now {new})"
        for name, old in vars(narrow.config).items()
        if (new := getattr(config, name)) != old and (name not in WIDTHS or new < old)
    ]
    if wrong:
        raise EarmarkError(
            f"an encoder does not grow into one of another shape: {', '.join(wrong)}",
            f"Only {', '.join(WIDTHS)} may grow; --init takes an encoder's shape as it is",
        )
    encoder = Encoder(config)
    weights = encoder.state_dict()
    for name, values in narrow.state_dict().items():
        if values.ndim == 0:  # a count of batches
            continue
        parts = 2 if name in OF_TWO else 1
        pairs = zip(values.chunk(parts, -1), weights[name].chunk(parts, -1), strict=True)
        weights[name] = torch.cat([_grown(*pair) for pair in pairs], -1)
    encoder.load_state_dict(weights)
    return encoder.eval()


def _grown(old: Tensor, new: Tensor) -> Tensor:
    """`new` with `old` in its first rows and columns; old rows do not read new columns."""
    grown = new.clone()
    grown[: len(old)] = 0.0
    grown[tuple(slice(size) for size in old.shape)] = old
    return grown
