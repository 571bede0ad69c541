"""Risk: whitening that ruins the embeddings instead of sharpening them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_corpus import settled_encoder

from train.metrics import all_pairs, equal_error_rate
from train.whitening import whiten_head, whitening


def shrunken(seed: int) -> tuple[np.ndarray, list[str]]:
    """Embeddings of voices whose own part is small beside what their microphones do to them."""
    random = np.random.default_rng(seed)
    speakers = np.repeat(np.arange(60), 6)
    microphones = random.standard_normal((360, 3)) @ random.standard_normal((3, 24))
    voices = 0.5 * random.standard_normal((60, 24))
    rows = microphones + voices[speakers] + 0.3 * random.standard_normal((360, 24))
    return rows, [str(s) for s in speakers]


def eer(rows: np.ndarray, speakers: list[str]) -> float:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return equal_error_rate(*all_pairs(unit, speakers))


@pytest.mark.parametrize("seed", range(3))
def test_voices_drowned_by_their_microphones_are_told_apart_again(seed: int) -> None:
    rows, speakers = shrunken(seed)
    fitted = np.array([int(s) % 2 == 0 for s in speakers])
    map_ = whitening(rows[fitted], 0.2)
    np.testing.assert_allclose(map_, map_.T, atol=1e-9)
    strangers = ~fitted
    left = [s for s, keep in zip(speakers, strangers, strict=True) if keep]
    before = eer(rows[strangers], left)
    after = eer((rows[strangers] - rows[fitted].mean(axis=0)) @ map_, left)
    assert after < 0.7 * before


def test_no_direction_keeps_more_than_its_share_and_noise_is_not_blown_up() -> None:
    random = np.random.default_rng(0)
    scales = np.concatenate([np.full(4, 10.0), np.full(15, 1.0), [1e-6]])
    rows = random.standard_normal((4000, 20)) * scales
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    before, after = unit.var(axis=0), (unit @ whitening(rows, 0.2)).var(axis=0)
    assert before[:4].mean() / before[4:19].mean() > 50
    assert after[:4].mean() / after[4:19].mean() < 20
    assert after[19] < 1e-6


def test_the_head_of_an_encoder_takes_the_whitening_in() -> None:
    encoder = settled_encoder(0)
    crops = 3.0 * torch.randn(64, 40, encoder.config.num_mels) + 5.0
    with torch.inference_mode():
        rows = encoder(crops).numpy()
    expected = (rows - rows.mean(axis=0)) @ whitening(rows, 0.3)
    whiten_head(encoder, rows, 0.3)
    with torch.inference_mode():
        np.testing.assert_allclose(encoder(crops).numpy(), expected, rtol=1e-3, atol=1e-4)
