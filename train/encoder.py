"""The streaming speaker encoder: causal convolutions, local attention and additive pooling.

The network is split where sums are taken. `frames` computes, for every encoder frame, a positive
attention weight `w` and a feature `h` per channel, and the probabilities `p` that somebody and that
more than one person is speaking; `head` turns the sums over any set of frames,

    S = (n, Σw, Σw·h, Σw·h², Σp)

into an embedding. Attention is a sigmoid of local context only, so sums of sums are sums: the
embedding of any stretch of audio is `head(sum of its records)`.

The blocks are the residual, batch-normalised, separable convolutions usual for mobile encoders;
attentive statistics pooling follows Okabe et al. (2018), with the softmax over the utterance
replaced by a sigmoid, which is what makes it additive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from msgspec import Meta
from torch import Tensor, nn

from edge.statistics import AROUND
from train.bounds import Count, Number
from train.layers import (
    ACTIVITIES,
    Activity,
    CausalBlock,
    PointwiseNorm,
    Spectral,
    rectified,
)
from train.segmenter import HEADS, Segmenter
from train.statistics import FrameOutputs, sum_statistics, summands


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of the network. The default is `small`, about 3 million parameters."""

    num_mels: Annotated[int, Meta(ge=80, le=80)] = 80  # of the native fbank
    stride: Count = 2  # fbank frames per encoder frame
    # Fbank frames summed into one record: all that reads records counts tenths of a second.
    frames_per_record: Annotated[int, Meta(ge=10, le=10)] = 10
    look_ahead: Number = 6  # fbank frames that an output may wait for; shifts its time stamp
    mean_frames: Number = 0  # fbank frames in which the running mean fades; 0: none is taken away
    spectral: Number = 16  # channels of the convolutions over mels and time; 0: there are none
    channels: Count = 320
    kernel: Annotated[int, Meta(ge=2)] = 5
    dilations: tuple[Count, ...] = (1, 1, 2, 1, 1, 2, 1, 1)
    features: Count = 384
    attention: Count = 64
    activity: Count = 128  # channels of the blocks that tell speech and overlap
    activity_dilations: tuple[Count, ...] = (2, 4, 8, 16)
    afterthought: Number = 3  # records back, of which its later outputs tell
    head_hidden: Count = 512
    embedding: Count = 192
    # Width of the network that tells where a segment changes its voice.
    segmenter: Annotated[int, Meta(ge=HEADS, multiple_of=HEADS)] = 96


class State(NamedTuple):
    """What a stream remembers: tensors (batch, frames, values), zeros where nothing was heard."""

    past: list[Tensor]  # the last fbank frames, and their fading sums, where either is needed
    trunk: list[Tensor]  # of each block
    activity: list[Tensor]  # of each block behind the activity outputs

    @property
    def tensors(self) -> list[Tensor]:
        """All of them, in this order."""
        return [*self.past, *self.trunk, *self.activity]

    @classmethod
    def of(cls, tensors: Sequence[Tensor], encoder: Encoder) -> State:
        """The state of an encoder whose `tensors` these are."""
        values = list(tensors)
        activity = len(values) - len(encoder.activity.blocks)
        trunk = activity - len(encoder.blocks)
        return cls(values[:trunk], values[trunk:activity], values[activity:])


class Encoder(nn.Module):
    """Fbank frames to additive statistics, and statistics to an embedding."""

    input_mean: Tensor
    input_std: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        channels, features = config.channels, config.features
        # Of the spectral shape, mel by mel, and, last, of the level.
        self.register_buffer("input_mean", torch.zeros(config.num_mels + 1))
        self.register_buffer("input_std", torch.ones(config.num_mels + 1))
        self.stem = PointwiseNorm((config.num_mels + 1) * config.stride, channels)
        if config.spectral:
            self.spectral = Spectral(config.num_mels, config.spectral, channels)
        self.blocks = nn.ModuleList(
            CausalBlock(channels, config.kernel, dilation) for dilation in config.dilations
        )
        self.feature = PointwiseNorm(2 * channels, features)
        self.attend_in = nn.Linear(channels, config.attention)
        self.attend_out = nn.Linear(config.attention, features)
        self.activity = Activity(
            channels, config.activity, config.kernel, config.activity_dilations
        )
        self.head_norm = nn.BatchNorm1d(2 * features)
        self.head_linear = nn.Linear(2 * features, config.embedding)
        self.head_in = nn.Linear(2 * features, config.head_hidden)
        self.head_out = nn.Linear(config.head_hidden, config.embedding)
        self.segmenter = Segmenter(len(AROUND) * config.embedding, config.segmenter)
        # At work while the head is trained by itself.
        self.moment_dropout = nn.Dropout(0.0)
        self.hidden_dropout = nn.Dropout(0.0)

    @property
    def statistics_size(self) -> int:
        """Values of a record: the frames counted, three sums per feature, the activities."""
        return 1 + 3 * self.config.features + ACTIVITIES

    def initial_state(self, batch: int) -> State:
        """State of a stream that has heard nothing."""
        config = self.config

        def zeros(frames: int, values: int) -> Tensor:
            return self.input_mean.new_zeros(batch, frames, values)

        past = [Spectral.HISTORY] if config.spectral else []
        if config.mean_frames:
            past.append(1)
        history = config.kernel - 1
        return State(
            [zeros(frames, config.num_mels) for frames in past],
            [zeros(history * dilation, config.channels) for dilation in config.dilations],
            [zeros(history * d, config.activity) for d in config.activity_dilations],
        )

    @property
    def middle(self) -> int:
        """Blocks before the middle of the trunk."""
        return len(self.blocks) // 2

    def frames(self, fbank: Tensor, state: State) -> tuple[FrameOutputs, State]:
        """Advance the stream.

        Args:
            fbank: log-mel frames (batch, time, mels); time is a multiple of the stride.
            state: from `initial_state` or from the call before.

        Returns:
            Outputs for time / stride frames, and the new state.
        """
        middle, last, past, trunk = self.depths(fbank, state)
        activity, activity_states = self.activity(middle, last, state.activity)
        outputs = FrameOutputs(*self.voice(middle, last), activity)
        return outputs, State(past, trunk, activity_states)

    def depths(
        self, fbank: Tensor, state: State
    ) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
        """The trunk's middle and its end, which the outputs read; new past and blocks' states."""
        x, past = self.entry(fbank, state.past)
        middle, last, trunk = self.trunk(x, state.trunk)
        return middle, last, past, trunk

    def entry(self, fbank: Tensor, past: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """What the first block reads (batch, time / stride, channels), and the new past."""
        config = self.config
        inputs, shapes, new_past = self.inputs(fbank, past)
        batch, time, width = inputs.shape
        x = self.stem(inputs.reshape(batch, time // config.stride, width * config.stride))
        if config.spectral:
            x = x + self.spectral(shapes)
        return rectified(x), new_past

    def inputs(self, fbank: Tensor, past: Sequence[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """What the network sees of log-mel frames.

        Returns:
            Normalised spectral shape and, last, level (batch, time, mels + 1); the shapes behind
            those kept of the frames before; the new past.
        """
        before, kept = list(past), list[Tensor]()
        normal = (split_level(fbank) - self.input_mean) / self.input_std
        if self.config.mean_frames:  # before anything was heard, it is that of all training data
            shape, level = normal[:, :, :-1], normal[:, :, -1:]
            fading = fading_sums(shape, before.pop(), self.config.mean_frames)
            normal = torch.cat([shape - fading / self.config.mean_frames, level], dim=2)
            kept = [fading[:, -1:]]
        normal = normal.clamp(-4.0, 4.0)
        shapes = normal[:, :, :-1]
        if self.config.spectral:
            shapes = torch.cat([before.pop(), shapes], dim=1)
            kept = [shapes[:, -Spectral.HISTORY :], *kept]
        return normal, shapes, kept

    def trunk(self, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """What the outputs read: the trunk's middle and its end, and the blocks' new states."""
        new_states, depths = [], [x]
        for block, state in zip(self.blocks, states, strict=True):
            x, new_state = block(x, state)
            new_states.append(new_state)
            depths.append(x)
        return depths[self.middle], x, new_states

    def voice(self, middle: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Weights and features (batch, time, features) of what the trunk makes of frames."""
        weights = torch.sigmoid(self.attend_out(rectified(self.attend_in(last))))
        return weights, self.feature(torch.cat([last, middle], dim=-1))

    def head(self, statistics: Tensor) -> Tensor:
        """Embeddings (batch, embedding), any length, of statistics (batch, statistics_size)."""
        return self.embedding(*statistics[:, 1:-ACTIVITIES].split(self.config.features, dim=1))

    def embedding(self, w: Tensor, wh: Tensor, whh: Tensor) -> Tensor:
        """Embeddings (batch, embedding), any length, of the sums Σw, Σw·h and Σw·h²."""
        w = w.clamp_min(1e-6)
        mean = wh / w
        std = (whh / w - mean.square()).clamp_min(1e-5).sqrt()
        moments = self.moment_dropout(self.head_norm(torch.cat([mean, std], dim=1)))
        # What the channel and the kind of voice do to the moments is not linear in them. This part
        # of the network runs once an embedding, not once a frame: there, it costs next to nothing.
        hidden = self.hidden_dropout(rectified(self.head_in(moments)))
        embedding: Tensor = self.head_linear(moments) + self.head_out(hidden)
        return embedding

    def forward(self, fbank: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embeddings of whole crops (batch, time, mels), each a stream of its own.

        Args:
            fbank: log-mel frames.
            mask: encoder frames to sum (batch, time / stride), 1 or 0; all where absent.
        """
        middle, last, *_ = self.depths(fbank, self.initial_state(len(fbank)))
        weights, features = self.voice(middle, last)
        if mask is not None:
            weights = weights * mask[:, :, None]
        return self.embedding(*(x.sum(dim=1) for x in summands(weights, features)))


def fading_sums(values: Tensor, before: Tensor, frames: int) -> Tensor:
    """Sums (batch, time, size) up to each frame, in which what is `frames` old counts 1 / e.

    `before` (batch, 1, size) is the last sum of what came earlier.
    """
    place = torch.arange(values.shape[1], device=values.device)
    weights = torch.exp((place[None] - place[:, None]) / frames).tril()
    with torch.autocast(values.device.type, enabled=False):  # sums outlive what they are of
        return weights @ values + torch.exp(-(place + 1) / frames)[:, None] * before


def split_level(fbank: Tensor) -> Tensor:
    """Spectral shape and level, (..., mels + 1), of log-mel frames (..., mels).

    The shape does not change with the gain of the microphone; the level is kept apart as one more
    value, since attention needs to know where speech is.
    """
    level = fbank.mean(dim=-1, keepdim=True)
    return torch.cat([fbank - level, level], dim=-1)


class FramesGraph(nn.Module):
    """What the exported graph computes, which returns what ends with a state for that state."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, fbank: Tensor, state: State) -> tuple[Tensor, State]:
        """Records (batch, time / frames_per_record, statistics_size) and the new state."""
        config = self.encoder.config
        outputs, state = self.encoder.frames(fbank, state)
        shape = (len(fbank), -1, config.frames_per_record // config.stride)
        outputs = FrameOutputs(*(x.reshape(*shape, x.shape[-1]) for x in outputs))
        return sum_statistics(outputs, dim=2), state
