"""What the encoder is built of: normalised maps and causal convolutions, with their state."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVITIES = 3  # speech at once; speech, and overlapping speech, a little later


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

    Speech is told twice: at once, and when what followed has been heard too, which tells better.
    Overlap is told only then: a second voice is hardly heard as such by its first sound.

    What tells voices apart is not all of what tells speech from noise: the trunk's middle, where
    less of that has been discarded, is read too. Whether a pause is the end of a turn, and whether
    a voice is another's, is told by seconds, not by the tenths that the trunk looks back on.
    """

    def __init__(self, inputs: int, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.inner = nn.Linear(2 * inputs, channels)
        self.blocks = nn.ModuleList(CausalBlock(channels, kernel, d) for d in dilations)
        self.outer = nn.Linear(channels, ACTIVITIES)

    @property
    def trained(self) -> bool:
        """Whether anything was ever heard in training, as far as its normalisations tell."""
        means = [v for name, v in self.named_buffers() if name.endswith("running_mean")]
        return not means or any(bool(mean.any()) for mean in means)

    def forward(
        self, middle: Tensor, last: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Log-odds (batch, time, 3) from two depths of the trunk, each (batch, time, inputs).

        The states, old and new, are those of the blocks.
        """
        y = rectified(self.inner(torch.cat([middle, last], dim=-1)))
        new_states = []
        for block, state in zip(self.blocks, states, strict=True):
            y, new_state = block(y, state)
            new_states.append(new_state)
        return self.outer(y), new_states
