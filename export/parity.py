"""Whether the exported graphs still compute what torch computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edge._native import Fbank
from edge.encoder import EncoderStream, Model
from train.encoder import Encoder, FramesGraph
from train.trials import Embed

Audio = NDArray[np.float32]

MAX_STATISTICS_ERROR = 1e-4  # relative to the largest of a record
MIN_INT8_COSINE = 0.99  # mean over recordings


@dataclass(frozen=True)
class Parity:
    """Differences from torch: of fp32 statistics, and of int8 embeddings."""

    statistics_error: float  # largest difference of a record, relative to its largest value
    int8_cosine_mean: float
    int8_cosine_min: float

    def failures(self) -> list[str]:
        """Reasons to refuse the export; empty when it may ship."""
        reasons = []
        if not self.statistics_error <= MAX_STATISTICS_ERROR:
            reasons.append(
                f"fp32 statistics differ by {self.statistics_error:.1e} from torch, "
                f"at most {MAX_STATISTICS_ERROR:.0e} expected"
            )
        if not self.int8_cosine_mean >= MIN_INT8_COSINE:
            reasons.append(
                f"int8 embeddings agree with torch at cosine {self.int8_cosine_mean:.3f}, "
                f"at least {MIN_INT8_COSINE} expected"
            )
        return reasons


def torch_records(encoder: Encoder, fbank: Audio) -> Audio:
    """Records (n, size) of frames (time, mels) in one shot; time is a multiple of a record."""
    with torch.inference_mode():
        state = encoder.initial_state(1)
        records, _ = FramesGraph(encoder)(torch.from_numpy(fbank)[None], state)
    result: Audio = records[0].numpy()
    return result


def streamed_records(model: Model, audio: Audio, block: int) -> Audio:
    """Records of samples (n,) pushed in blocks through the runtime's encoder."""
    stream = EncoderStream(model)
    return np.concatenate([stream.push(audio[i : i + block]) for i in range(0, len(audio), block)])


def torch_embedder(encoder: Encoder, model: Model) -> Embed:
    """Whole-recording embeddings by torch in one shot, cut to the chunks that `model` takes."""

    def embed(audio: Audio) -> NDArray[np.float64]:
        frames = Fbank(model.fbank_options).push(audio)
        usable = len(frames) // model.spec.frames_per_record * model.spec.frames_per_record
        total = torch_records(encoder, frames[:usable]).sum(axis=0)
        with torch.inference_mode():
            row = encoder.head(torch.from_numpy(total)[None])
            unit: NDArray[np.float64] = torch.nn.functional.normalize(row)[0].double().numpy()
        return unit

    return embed


def stream_embedder(model: Model) -> Embed:
    """Whole-recording embeddings by the runtime, streamed in 200 ms blocks."""

    def embed(audio: Audio) -> NDArray[np.float64]:
        # The encoder takes whole chunks; silence completes the last one and is not counted.
        frames = max(0, (len(audio) - 400) // model.frame_shift + 1)
        count = frames // model.spec.frames_per_record
        padding = np.zeros(model.spec.frames_per_chunk * model.frame_shift, dtype=np.float32)
        records = streamed_records(model, np.concatenate([audio, padding]), 3200)[:count]
        total = records.astype(np.float64).sum(axis=0)
        row: NDArray[np.float64] = model.embed(total[None])[0]
        return row

    return embed


def measure_parity(encoder: Encoder, fp32: Model, int8: Model, audios: Sequence[Audio]) -> Parity:
    """Compare torch in one shot with both exported forms, streamed, on recordings at 16 kHz."""
    worst = 0.0
    cosines = []
    reference, candidate = torch_embedder(encoder, int8), stream_embedder(int8)
    for audio in audios:
        streamed = streamed_records(fp32, audio, 3200)
        frames = Fbank(fp32.fbank_options).push(audio)
        chunked = len(frames) // fp32.spec.frames_per_chunk * fp32.spec.frames_per_chunk
        expected = torch_records(encoder, frames[:chunked])
        scale = np.abs(expected).max(axis=1, keepdims=True)
        worst = max(worst, float((np.abs(streamed - expected) / scale).max(initial=0.0)))
        cosines.append(float(reference(audio) @ candidate(audio)))
    return Parity(worst, float(np.mean(cosines)), float(np.min(cosines)))
