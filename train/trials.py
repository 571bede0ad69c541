"""Verification trials on crops: the test that training watches and evaluation reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from edge._native import Fbank, FbankOptions
from edge.front_end import SAMPLE_RATE
from train.encoder import Encoder
from train.metrics import all_pairs, equal_error_rate, min_dcf

Audio = NDArray[np.float32]
Embed = Callable[[Audio], NDArray[np.floating]]


def centre_crop(audio: Audio, seconds: float | None) -> Audio:
    """The middle `seconds` of the samples at most; all where None."""
    if seconds is None:
        return audio
    count = int(seconds * SAMPLE_RATE)
    start = max(0, (len(audio) - count) // 2)
    return audio[start : start + count]


def crop_embedder(encoder: Encoder) -> Embed:
    """Embeddings of whole crops, each at once, on the device where the encoder is."""
    options, stride, device = FbankOptions(), encoder.config.stride, encoder.input_mean.device

    def embed(audio: Audio) -> NDArray[np.float32]:
        fbank = torch.from_numpy(Fbank(options).push(audio)).to(device)
        with torch.inference_mode():
            embedding = encoder(fbank[None, : len(fbank) // stride * stride])
        row: NDArray[np.float32] = functional.normalize(embedding)[0].cpu().numpy()
        return row

    return embed


def verification_errors(
    audios: Sequence[Audio], speakers: Sequence[str], embed: Embed, seconds: float | None
) -> tuple[float, float]:
    """EER and minDCF (prior 0.01) over all pairs of the crops; `embed` gives unit-length rows."""
    embeddings = np.stack([embed(centre_crop(audio, seconds)) for audio in audios])
    scores, targets = all_pairs(embeddings, speakers)
    return equal_error_rate(scores, targets), min_dcf(scores, targets)
