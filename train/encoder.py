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
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVITIES = 2  # speech, overlapping speech


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of the network. The default is `small`, about 2.4 million parameters."""

    num_mels: int = 80
    stride: int = 2  # fbank frames per encoder frame
    frames_per_record: int = 10  # fbank frames summed into one record of statistics
    look_ahead: int = 6  # fbank frames that an output may wait for; shifts its time stamp
    spectral: int = 16  # channels of the convolutions over mels and time; 0: there are none
    channels: int = 320
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 1, 2, 1, 1, 2, 1, 1)
    features: int = 384
    attention: int = 64
    activity_kernel: int = 9
    activity_dilation: int = 2
    head_hidden: int = 256
    embedding: int = 192


def rectified(x: Tensor) -> Tensor:
    """ReLU in place: nothing needs its argument again, and a training step is a sixth shorter."""
    return functional.relu(x, inplace=True)


class PointwiseNorm(nn.Module):
    """A linear map of the channels of every frame, batch-normalised."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, time, inputs) to (batch, time, outputs)."""
        y: Tensor = self.linear(x)
        return self.norm(y.flatten(0, 1)).unflatten(0, y.shape[:2])  # type: ignore[no-any-return]


class CausalDepthwiseNorm(nn.Module):
    """A convolution over past frames, one filter a channel, batch-normalised."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.history = (kernel - 1) * dilation
        # Two-dimensional, because its channels-last layout is that of (batch, time, channels).
        self.conv = nn.Conv2d(
            channels, channels, (1, kernel), dilation=(1, dilation), groups=channels, bias=False
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Map (batch, time, channels); the state is the last `history` frames of input."""
        x = torch.cat([state, x], dim=1)
        y = self.norm(self.conv(x.transpose(1, 2).unsqueeze(2)))
        return y.squeeze(2).transpose(1, 2), x[:, -self.history :]


class SpectralNorm(nn.Module):
    """A convolution over three frames, the past two and its own, and three mels; normalised."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int]) -> None:
        """`stride`: in time and in mels."""
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=(0, 1), bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, time, mels); the result is two frames shorter, then strided."""
        y: Tensor = self.norm(self.conv(x))
        return y


class Spectral(nn.Module):
    """What moves along the mels, such as formants and harmonics, is met by the same filters.

    The rest of the trunk has a weight of its own for every mel. These few convolutions over mels
    and time run before it, as in CAM++ (Wang et al., 2023), at the full rate of the fbank.
    """

    HISTORY = 11  # fbank frames before the first of those that an output is of

    def __init__(self, mels: int, channels: int, outputs: int) -> None:
        super().__init__()
        self.enter = SpectralNorm(1, channels, (1, 2))
        self.inner = SpectralNorm(channels, channels, (1, 1))
        self.outer = SpectralNorm(channels, channels, (1, 1))
        self.halve = SpectralNorm(channels, 2 * channels, (2, 2))
        self.leave = SpectralNorm(2 * channels, 2 * channels, (1, 2))
        self.project = PointwiseNorm(2 * channels * (mels // 8), outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, HISTORY + time, mels) to (batch, time / 2, outputs)."""
        x = rectified(self.enter(x.unsqueeze(1)))
        y = self.outer(rectified(self.inner(x)))
        x = rectified(self.halve(rectified(x[:, :, 4:] + y)))
        x = rectified(self.leave(x))
        projected: Tensor = self.project(x.transpose(1, 2).flatten(2))
        return projected


class CausalBlock(nn.Module):
    """Pointwise, causal depthwise, pointwise, around a residual connection."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.expand = PointwiseNorm(channels, channels)
        self.depthwise = CausalDepthwiseNorm(channels, kernel, dilation)
        self.project = PointwiseNorm(channels, channels)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Advance by frames `x` (batch, time, channels) from `state` (batch, history, channels)."""
        y = rectified(self.expand(x))
        y, state = self.depthwise(y, state)
        y = self.project(rectified(y))
        return rectified(x + y), state


class Activity(nn.Module):
    """Is anybody speaking, and is more than one? A second reading of the trunk.

    What tells voices apart is not all of what tells speech from noise: the trunk's middle, where
    less of that has been discarded, is read too.
    """

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.inner = nn.Linear(2 * channels, channels)
        self.depthwise = CausalDepthwiseNorm(channels, kernel, dilation)
        self.outer = nn.Linear(channels, ACTIVITIES)

    def forward(self, middle: Tensor, last: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds (batch, time, 2) from two depths of the trunk, each (batch, time, channels).

        The state is the last frames of input of the convolution (batch, history, channels).
        """
        y = rectified(self.inner(torch.cat([middle, last], dim=-1)))
        y, state = self.depthwise(y, state)
        return self.outer(rectified(y)), state


class FrameOutputs(NamedTuple):
    """What the network says of each encoder frame."""

    weights: Tensor  # (batch, time, features), in (0, 1)
    features: Tensor  # (batch, time, features)
    activity: Tensor  # (batch, time, 2): log-odds of speech, and of overlapping speech


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
        self.activity = Activity(channels, config.activity_kernel, config.activity_dilation)
        self.head_norm = nn.BatchNorm1d(2 * features)
        self.head_linear = nn.Linear(2 * features, config.embedding)
        self.head_in = nn.Linear(2 * features, config.head_hidden)
        self.head_out = nn.Linear(config.head_hidden, config.embedding)

    @property
    def statistics_size(self) -> int:
        """Values of a record: the frames counted, three sums per feature, the activities."""
        return 1 + 3 * self.config.features + ACTIVITIES

    @property
    def histories(self) -> list[int]:
        """Rows of state: encoder frames for each block and for the activity outputs, and, last,
        what the past fbank frames fill of the spectral convolutions.
        """
        config = self.config
        blocks = [(config.kernel - 1) * dilation for dilation in config.dilations]
        activity = (config.activity_kernel - 1) * config.activity_dilation
        past = Spectral.HISTORY * config.num_mels if config.spectral else 0
        return [*blocks, activity, -(-past // config.channels)]

    def initial_state(self, batch: int) -> Tensor:
        """State of a stream that has heard nothing: zeros (batch, sum of histories, channels)."""
        return self.input_mean.new_zeros(batch, sum(self.histories), self.config.channels)

    @property
    def middle(self) -> int:
        """Blocks before the middle of the trunk."""
        return len(self.blocks) // 2

    def frames(self, fbank: Tensor, state: Tensor) -> tuple[FrameOutputs, Tensor]:
        """Advance the stream.

        Args:
            fbank: log-mel frames (batch, time, mels); time is a multiple of the stride.
            state: from `initial_state` or from the call before.

        Returns:
            Outputs for time / stride frames, and the new state.
        """
        *block_states, activity_state, past = state.split(self.histories, 1)
        x, past = self.entry(fbank, past)
        middle, last, states = self.trunk(x, block_states)
        activity, activity_state = self.activity(middle, last, activity_state)
        outputs = FrameOutputs(
            weights=torch.sigmoid(self.attend_out(rectified(self.attend_in(last)))),
            features=self.feature(torch.cat([last, middle], dim=-1)),
            activity=activity,
        )
        return outputs, torch.cat([*states, activity_state, past], dim=1)

    def inputs(self, fbank: Tensor) -> Tensor:
        """Normalised spectral shape and, last, level (batch, time, mels + 1) of log-mel frames."""
        return ((split_level(fbank) - self.input_mean) / self.input_std).clamp(-4.0, 4.0)

    def entry(self, fbank: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """What the first block reads (batch, time / stride, channels), and the new past frames."""
        config = self.config
        inputs = self.inputs(fbank)
        batch, time, width = inputs.shape
        x = self.stem(inputs.reshape(batch, time // config.stride, width * config.stride))
        if config.spectral:
            shapes, past = with_past(inputs[:, :, :-1], past)
            x = x + self.spectral(shapes)
        return rectified(x), past

    def trunk(self, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """What the outputs read: the trunk's middle and its end, and the blocks' new states."""
        new_states, depths = [], [x]
        for block, state in zip(self.blocks, states, strict=True):
            x, new_state = block(x, state)
            new_states.append(new_state)
            depths.append(x)
        return depths[self.middle], x, new_states

    def head(self, statistics: Tensor) -> Tensor:
        """Embeddings (batch, embedding), any length, of statistics (batch, statistics_size)."""
        w, wh, whh = statistics[:, 1:-ACTIVITIES].chunk(3, dim=1)
        w = w.clamp_min(1e-6)
        mean = wh / w
        std = (whh / w - mean.square()).clamp_min(1e-5).sqrt()
        moments = self.head_norm(torch.cat([mean, std], dim=1))
        # What the channel and the kind of voice do to the moments is not linear in them. This part
        # of the network runs once an embedding, not once a frame: there, it costs next to nothing.
        hidden = rectified(self.head_in(moments))
        embedding: Tensor = self.head_linear(moments) + self.head_out(hidden)
        return embedding

    def forward(self, fbank: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embeddings of whole crops (batch, time, mels), each a stream of its own.

        Args:
            fbank: log-mel frames.
            mask: encoder frames to sum (batch, time / stride), 1 or 0; all where absent.
        """
        outputs, _ = self.frames(fbank, self.initial_state(len(fbank)))
        if mask is not None:
            outputs = outputs._replace(weights=outputs.weights * mask[:, :, None])
        return self.head(sum_statistics(outputs, dim=1))


def with_past(shapes: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
    """Frames (batch, time, mels) behind those before them, and the frames to be kept of both.

    `past` (batch, rows, channels) holds the last frames, one after the other, filled with zeros.
    """
    batch, _, mels = shapes.shape
    frames = Spectral.HISTORY * mels
    earlier = past.reshape(batch, -1)[:, :frames].reshape(batch, Spectral.HISTORY, mels)
    shapes = torch.cat([earlier, shapes], dim=1)
    kept = shapes[:, -Spectral.HISTORY :].reshape(batch, frames)
    room = past.shape[1] * past.shape[2] - frames
    return shapes, functional.pad(kept, (0, room)).reshape(past.shape)


def split_level(fbank: Tensor) -> Tensor:
    """Spectral shape and level, (..., mels + 1), of log-mel frames (..., mels).

    The shape does not change with the gain of the microphone; the level is kept apart as one more
    value, since attention needs to know where speech is.
    """
    level = fbank.mean(dim=-1, keepdim=True)
    return torch.cat([fbank - level, level], dim=-1)


def sum_statistics(outputs: FrameOutputs, dim: int) -> Tensor:
    """Sums over the axis `dim`, (n, Σw, Σw·h, Σw·h², Σp) along the last axis."""
    w, h, activity = outputs
    wh = w * h
    n = torch.ones_like(w[..., :1])
    terms = (n, w, wh, wh * h, torch.sigmoid(activity))
    return torch.cat([x.sum(dim=dim) for x in terms], dim=-1)


class FramesGraph(nn.Module):
    """The first exported graph: (fbank, state) -> (records, state)."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, fbank: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Records (batch, time / frames_per_record, statistics_size) and the new state."""
        config = self.encoder.config
        outputs, state = self.encoder.frames(fbank, state)
        shape = (len(fbank), -1, config.frames_per_record // config.stride)
        outputs = FrameOutputs(*(x.reshape(*shape, x.shape[-1]) for x in outputs))
        return sum_statistics(outputs, dim=2), state


class HeadGraph(nn.Module):
    """The second exported graph: statistics -> unit-length embedding."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, statistics: Tensor) -> Tensor:
        """Unit-length embeddings (batch, embedding) of statistics (batch, statistics_size)."""
        return functional.normalize(self.encoder.head(statistics), dim=1)
