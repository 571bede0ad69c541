"""Features of like range: int8 has one step for all of them, and the small ones were lost in it."""

from __future__ import annotations

import copy

import torch

from train.encoder import Encoder

LEAST_GAIN = 1e-3  # of a feature; one that is as good as dead is left as it is


def levelled(encoder: Encoder) -> Encoder:
    """A copy in evaluation mode that gives the same embeddings from features of unit variance.

    The gain and the offset of each feature move past the sums into the head's normalisation, which
    undoes them in the mean and the deviation.
    """
    encoder = copy.deepcopy(encoder).eval()
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
    return encoder
