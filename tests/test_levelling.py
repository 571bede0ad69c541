"""Risk: channels made ready for int8 that no longer give the embeddings that were trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_corpus import conversation, settled_encoder

from edge._native import Fbank, FbankOptions
from export.levelling import levelled
from train.encoder import Encoder
from train.layers import CausalBlock


@pytest.fixture
def frames() -> torch.Tensor:
    frames: torch.Tensor = torch.from_numpy(Fbank(FbankOptions()).push(conversation())[:4000])
    return frames.reshape(10, 400, -1)


def of_unlike_range(seed: int) -> Encoder:
    """An encoder with features a hundred times larger than others, turned round and offset."""
    encoder = settled_encoder(seed)
    random = np.random.default_rng(seed)
    count = encoder.config.features
    gain = torch.from_numpy(10.0 ** random.uniform(-1.5, 0.5, count)).float()
    sign = torch.from_numpy(random.choice([-1.0, 1.0], count)).float()
    with torch.no_grad():
        encoder.feature.norm.weight.copy_(gain * sign)
        encoder.feature.norm.bias.copy_(gain)
    return encoder


def features(encoder: Encoder, frames: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        outputs, _ = encoder.frames(frames, encoder.initial_state(len(frames)))
    return outputs.features


@pytest.mark.parametrize("seed", range(3))
def test_levelled_features_give_the_same_embeddings(seed: int, frames: torch.Tensor) -> None:
    encoder = of_unlike_range(seed)
    with torch.inference_mode():
        expected, levelled_ones = encoder(frames), levelled(encoder)(frames)
    torch.testing.assert_close(levelled_ones, expected, rtol=1e-3, atol=1e-3)


def test_one_step_of_int8_is_as_fine_for_all_features(frames: torch.Tensor) -> None:
    encoder = of_unlike_range(0)
    before = features(encoder, frames).flatten(0, 1).std(dim=0)
    after = features(levelled(encoder), frames).flatten(0, 1).std(dim=0)
    assert before.max() / before.min() > 20
    assert after.max() / after.min() < 3


@pytest.mark.parametrize("seed", range(3))
def test_levelled_blocks_give_the_same_trunk_and_activity(seed: int, frames: torch.Tensor) -> None:
    encoder = of_unlike_channels(seed)
    state = encoder.initial_state(len(frames))
    with torch.inference_mode():
        expected, _ = encoder.frames(frames, state)
        found, _ = levelled(encoder).frames(frames, state)
    torch.testing.assert_close(found.weights, expected.weights, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.activity, expected.activity, rtol=1e-3, atol=1e-3)


def test_one_step_of_int8_is_as_fine_for_all_channels_of_a_block() -> None:
    encoder = of_unlike_channels(0)
    before, after = (channel_ranges(e) for e in (encoder, levelled(encoder)))
    assert before.max() / before.min() > 10
    assert after.max() / after.min() < 2


def of_unlike_channels(seed: int) -> Encoder:
    """An encoder whose blocks have channels ten times wider than others."""
    encoder = settled_encoder(seed)
    random = np.random.default_rng(seed)
    with torch.no_grad():
        for block in [*encoder.blocks, *encoder.activity.blocks]:
            assert isinstance(block, CausalBlock)
            norm = block.expand.norm
            spread = 10.0 ** random.uniform(-0.6, 0.6, len(norm.weight))
            norm.weight.mul_(torch.from_numpy(spread).float())
    return encoder


def channel_ranges(encoder: Encoder) -> torch.Tensor:
    block = encoder.blocks[0]
    assert isinstance(block, CausalBlock)
    return (block.expand.norm.bias + 4.0 * block.expand.norm.weight.abs()).detach()


def test_a_dead_feature_stays_dead(frames: torch.Tensor) -> None:
    encoder = settled_encoder(0)
    with torch.no_grad():
        encoder.feature.norm.weight[3] = 0.0
        expected, found = encoder(frames), levelled(encoder)(frames)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_the_encoder_that_is_levelled_is_left_as_it_was(frames: torch.Tensor) -> None:
    encoder = of_unlike_range(0)
    before = features(encoder, frames)
    levelled(encoder)
    torch.testing.assert_close(features(encoder, frames), before, rtol=0, atol=0)
