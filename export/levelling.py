"""Channels of like range: int8 has one step for all of them, and the small ones were lost in it."""

from __future__ import annotations

import copy

import torch

from train.encoder import Encoder
from train.layers import CausalBlock

LEAST_GAIN = 1e-3  # of a channel; one that is as good as dead is left as it is
DEVIATIONS = 4.0  # above its mean, where the range of a channel is taken to end
LEAST_RANGE = 0.05  # of a block's channel, beside the widest; narrower ones count as this


def levelled(encoder: Encoder) -> Encoder:
    """A copy in evaluation mode that gives the same embeddings and activities."""
    encoder = copy.deepcopy(encoder).eval()
    _level_features(encoder)
    for block in [*encoder.blocks, *encoder.activity.blocks]:
        assert isinstance(block, CausalBlock)
        _level_block(block)
    return encoder


def _level_block(block: CausalBlock) -> None:
    """The channels between a block's first two convolutions, as in Nagel et al. (2019).

    What a channel is divided by before the rectification, its own filter after it is multiplied by.
    """
    norm, filters = block.expand.norm, block.depthwise.conv.weight
    with torch.no_grad():
        ranges = (norm.bias + DEVIATIONS * norm.weight.abs()).clamp(min=LEAST_GAIN)
        scales = (ranges / ranges.max()).clamp(min=LEAST_RANGE)
        norm.weight.div_(scales)
        norm.bias.div_(scales)
        filters.mul_(scales[:, None, None, None])


def _level_features(encoder: Encoder) -> None:
    """Unit variance for all features.

    The gain and the offset of each feature move past the sums into the head's normalisation, which
    undoes them in the mean and the deviation.
    """
    feature, head = encoder.feature.norm, encoder.head_norm
    count = encoder.config.features
    with torch.no_grad():
        dead = feature.weight.abs() < LEAST_GAIN
        gain = feature.weight.masked_fill(dead, 1.0)
        mean, variance = head.running_mean, head.running_var
        assert mean is not None and variance is not None  # of a normalisation that keeps them
        mean[:count] = (mean[:count] - feature.bias) / gain
        mean[count:] /= gain.abs()
        variance.copy_((variance + head.eps) / gain.square().repeat(2) - head.eps)
        head.weight[:count] *= gain.sign()
        feature.weight.div_(gain)
        feature.bias.zero_()
