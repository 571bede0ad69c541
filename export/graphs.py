"""torch to ONNX: batch normalisation folded away, maps as convolutions, three graphs written."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from train.encoder import Encoder, State
from train.layers import CausalDepthwiseNorm, PointwiseNorm, SpectralNorm
from train.statistics import FrameOutputs, terms

OPSET = 17
CHUNK = 20  # fbank frames that the runtime feeds at once: 200 ms


def folded(encoder: Encoder) -> Encoder:
    """A copy in evaluation mode whose frame normalisations are part of the maps before them."""
    encoder = copy.deepcopy(encoder).eval()
    for module in list(encoder.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, PointwiseNorm):
                setattr(module, name, fuse_linear_bn_eval(child.linear, child.norm))
        if isinstance(module, CausalDepthwiseNorm | SpectralNorm):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            setattr(module, "norm", nn.Identity())  # noqa: B010 (the attribute is declared otherwise)
    return encoder


def _of_one_frame(linear: nn.Linear) -> nn.Conv1d:
    """A linear map of every frame's channels, as a convolution over frames."""
    conv = nn.Conv1d(linear.in_features, linear.out_features, 1)
    conv.weight.data = linear.weight.data[:, :, None]
    conv.bias.data = linear.bias.data  # type: ignore[union-attr]
    return conv


def _over_time(depthwise: Any) -> nn.Conv1d:
    """The convolution of a folded `CausalDepthwiseNorm`, on channels by time."""
    old = depthwise.conv
    channels, kernel = old.out_channels, old.kernel_size[1]
    conv = nn.Conv1d(channels, channels, kernel, dilation=old.dilation[1], groups=channels)
    conv.weight.data = old.weight.data[:, :, 0]
    conv.bias.data = old.bias.data  # type: ignore[union-attr]
    return conv


class ConvolutionalBlock(nn.Module):
    """What a folded `CausalBlock` computes, on channels by time."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.expand = _of_one_frame(block.expand)
        self.depthwise = _over_time(block.depthwise)
        self.project = _of_one_frame(block.project)

    def forward(self, x: Tensor, history: Tensor) -> tuple[Tensor, Tensor]:
        """Advance by frames (batch, channels, time) from a history (batch, time, channels).

        Returns:
            The outputs, and the history with what came behind it.
        """
        y = torch.cat([history.transpose(1, 2), functional.relu(self.expand(x))], dim=2)
        z = self.project(functional.relu(self.depthwise(y)))
        return functional.relu(x + z), y.transpose(1, 2)


class EnteringMels(nn.Module):
    """What a folded `Spectral.enter` computes, rectified: of four mels at once, two positions.

    With one channel the runtime spends most of the convolution's time on gathering single bytes.
    """

    def __init__(self, enter: Any) -> None:
        super().__init__()
        channels, _, frames, width = enter.conv.weight.shape
        # By position, its filter over the four mels before and those four.
        filters = torch.zeros(2, channels, frames, 8)
        for position in range(2):
            first = 3 + 2 * position
            filters[position, :, :, first : first + width] = enter.conv.weight.data[:, 0]
        self.conv = nn.Conv2d(4, 2 * channels, (frames, 2))
        self.conv.weight.data = filters.reshape(2 * channels, frames, 2, 4).permute(0, 3, 1, 2)
        self.conv.bias.data = enter.conv.bias.data.repeat(2)  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """Map (1, time, mels) to (1, channels, time - 2, mels / 2)."""
        time, mels = x.shape[1:]
        fours = x.reshape(1, time, mels // 4, 4)
        fours = torch.cat([torch.zeros_like(fours[:, :, :1]), fours], dim=2).permute(0, 3, 1, 2)
        y = functional.relu(self.conv(fours)).permute(0, 2, 3, 1)
        return y.reshape(1, time - 2, mels // 2, -1).permute(0, 3, 1, 2)


class ConvolutionalSpectral(nn.Module):
    """What a folded `Spectral` computes; its last map, too, as a convolution, over all mels."""

    def __init__(self, spectral: Any) -> None:
        super().__init__()
        self.enter = EnteringMels(spectral.enter)
        self.inner, self.outer = spectral.inner, spectral.outer
        self.halve, self.leave = spectral.halve, spectral.leave
        linear, channels = spectral.project, self.leave.conv.out_channels
        mels = linear.in_features // channels
        self.project = nn.Conv2d(channels, linear.out_features, (1, mels))
        self.project.weight.data = linear.weight.data.unflatten(1, (channels, 1, mels))
        self.project.bias.data = linear.bias.data  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, HISTORY + time, mels) to (batch, outputs, time / 2)."""
        x = self.enter(x)
        y = self.outer(functional.relu(self.inner(x)))
        x = functional.relu(self.halve(functional.relu(x[:, :, 4:] + y)))
        x = functional.relu(self.leave(x))
        projected: Tensor = self.project(x)
        return projected.squeeze(3)


class ConvolutionalActivity(nn.Module):
    """What a folded `Activity` computes, on channels by time."""

    def __init__(self, activity: Any) -> None:
        super().__init__()
        self.inner = _of_one_frame(activity.inner)
        # The end of the trunk comes first, as for the features.
        self.inner.weight.data = self.inner.weight.data.roll(self.inner.in_channels // 2, dims=1)
        self.blocks = nn.ModuleList(ConvolutionalBlock(block) for block in activity.blocks)
        self.outer = _of_one_frame(activity.outer)

    def forward(self, both: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Log-odds (batch, 3, time), and what the blocks have heard."""
        y = functional.relu(self.inner(both))
        heard = []
        for block, state in zip(self.blocks, states, strict=True):
            y, of_block = block(y, state)
            heard.append(of_block)
        return self.outer(y), heard


class ConvolutionalFrames(nn.Module):
    """What `FramesGraph` computes, on channels by time, of a folded encoder.

    A quantised convolution takes its bias and its rectifier along; a matrix product would leave
    both behind as operations of their own, which cost the int8 graph a quarter more time.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.stem = _of_one_frame(encoder.stem)  # type: ignore[arg-type]
        if encoder.config.spectral:
            self.spectral = ConvolutionalSpectral(encoder.spectral)
        self.blocks = nn.ModuleList(ConvolutionalBlock(block) for block in encoder.blocks)
        self.feature = _of_one_frame(encoder.feature)  # type: ignore[arg-type]
        self.attend_in = _of_one_frame(encoder.attend_in)
        self.attend_out = _of_one_frame(encoder.attend_out)
        self.activity = ConvolutionalActivity(encoder.activity)
        # Of frames taken for channels: the runtime would turn the tensors around a reduction.
        config = encoder.config
        self.sums = nn.Conv1d(
            CHUNK // config.stride, CHUNK // config.frames_per_record, 1, bias=False
        )
        ones = torch.eye(self.sums.out_channels)
        self.sums.weight.data = ones.repeat_interleave(
            config.frames_per_record // config.stride, dim=1
        )[:, :, None]

    def forward(self, fbank: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Records (1, CHUNK / frames_per_record, statistics_size), and what was heard.

        The states are a `State`'s tensors. What is returned for each of them ends with the new one.
        """
        encoder, config = self.encoder, self.encoder.config
        state = State.of(states, encoder)
        inputs, shapes, past = encoder.inputs(fbank, state.past)
        batch, time, width = inputs.shape
        x = inputs.reshape(batch, time // config.stride, width * config.stride).transpose(1, 2)
        x = self.stem(x)
        if config.spectral:
            x = x + self.spectral(shapes)
            # The new past begins with the end of these: cutting that off is left to the runtime.
            past = [shapes, *past[1:]]
        x = functional.relu(x)
        trunk, depths = [], [x]
        for block, history in zip(self.blocks, state.trunk, strict=True):
            x, heard = block(x, history)
            trunk.append(heard)
            depths.append(x)
        both = torch.cat([x, depths[encoder.middle]], dim=1)
        activity, activity_heard = self.activity(both, state.activity)
        weights = torch.sigmoid(self.attend_out(functional.relu(self.attend_in(x))))
        outputs = (y.transpose(1, 2) for y in (weights, self.feature(both), activity))
        records = self.sums(torch.cat(terms(FrameOutputs(*outputs)), dim=2))
        return records, *State(past, trunk, activity_heard).tensors


class HeadGraph(nn.Module):
    """What the exported head computes: statistics -> embedding."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, statistics: Tensor) -> Tensor:
        """Embeddings (batch, embedding), any length, of statistics (batch, statistics_size)."""
        embedding: Tensor = self.encoder.head(statistics)
        return embedding


def export_graphs(encoder: Encoder, folder: Path) -> None:
    """Write the three graphs in float32 into the folder.

    The frames graph takes chunks of `CHUNK` frames and no others: where every shape is known, what
    would have to be computed of them at each call is computed once, when the graph is loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    encoder = folded(encoder)
    fbank = torch.zeros(1, CHUNK, encoder.config.num_mels)
    states = encoder.initial_state(1).tensors
    names = [f"state{number}" for number in range(len(states))]
    statistics = torch.ones(1, encoder.statistics_size)
    with torch.no_grad():
        torch.onnx.export(
            ConvolutionalFrames(encoder),
            (fbank, *states),
            folder / "frames.onnx",
            input_names=["fbank", *names],
            output_names=["records", *(f"next_{name}" for name in names)],
            opset_version=OPSET,
            dynamo=False,
        )
        torch.onnx.export(
            HeadGraph(encoder),
            (statistics,),
            folder / "head.onnx",
            input_names=["statistics"],
            output_names=["embedding"],
            dynamic_axes={"statistics": {0: "rows"}, "embedding": {0: "rows"}},
            opset_version=OPSET,
            dynamo=False,
        )
        torch.onnx.export(
            encoder.segmenter,
            (torch.zeros(1, 2, encoder.segmenter.inputs),),
            folder / "segmenter.onnx",
            input_names=["tokens"],
            output_names=["log_odds"],
            dynamic_axes={"tokens": {1: "tokens"}, "log_odds": {1: "tokens", 2: "tokens"}},
            opset_version=OPSET,
            dynamo=False,
        )
