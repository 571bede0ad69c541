"""The same recordings through torch in one shot and through the exported graphs, streamed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from edge._native import Fbank
from edge.encoder import EncoderStream, Model
from edge.scoring import directions
from train.encoder import Encoder, FramesGraph
from train.trials import Embed

Audio = NDArray[np.float32]


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


def _in_records(model: Model, audio: Audio) -> tuple[Audio, int]:
    """The samples (n,) with silence behind them, and of how many records they are the whole."""
    count = (len(audio) + model.delay) // model.record_samples
    chunk = model.spec.frames_per_chunk * model.frame_shift
    return np.concatenate([audio, np.zeros(2 * chunk, dtype=np.float32)]), count


def whole_by_torch(encoder: Encoder, model: Model, audio: Audio) -> Audio:
    """Records of a recording to its end, by torch in one shot: those that `model` makes of it."""
    padded, count = _in_records(model, audio)
    frames = Fbank(model.fbank_options).push(padded)[: count * model.spec.frames_per_record]
    return torch_records(encoder, frames)


def whole_streamed(model: Model, audio: Audio) -> Audio:
    """Records of a recording to its end, by the runtime, streamed in 200 ms blocks."""
    padded, count = _in_records(model, audio)
    return streamed_records(model, padded, 3200)[:count]


def torch_embedder(encoder: Encoder, model: Model) -> Embed:
    """Whole-recording embeddings by torch in one shot, of the records that `model` makes."""

    def embed(audio: Audio) -> NDArray[np.float64]:
        total = whole_by_torch(encoder, model, audio).sum(axis=0)
        with torch.inference_mode():
            row = encoder.head(torch.from_numpy(total)[None])
            unit: NDArray[np.float64] = torch.nn.functional.normalize(row)[0].double().numpy()
        return unit

    return embed


def stream_embedder(model: Model) -> Embed:
    """Whole-recording embeddings by the runtime, streamed."""

    def embed(audio: Audio) -> NDArray[np.float64]:
        total = whole_streamed(model, audio).astype(np.float64).sum(axis=0)
        unit, _ = directions(model.embed(total[None]))
        row: NDArray[np.float64] = unit[0]
        return row

    return embed


def statistics_error(encoder: Encoder, model: Model, audios: Sequence[Audio]) -> float:
    """Largest difference of a streamed record from torch's, relative to its largest value."""
    worst = 0.0
    for audio in audios:
        streamed = streamed_records(model, audio, 3200)
        frames = Fbank(model.fbank_options).push(audio)
        chunked = len(frames) // model.spec.frames_per_chunk * model.spec.frames_per_chunk
        expected = torch_records(encoder, frames[:chunked])
        scale = np.abs(expected).max(axis=1, keepdims=True)
        worst = max(worst, float((np.abs(streamed - expected) / scale).max(initial=0.0)))
    return worst
