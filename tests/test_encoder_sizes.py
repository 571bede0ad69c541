"""Risk: a size that the configurations promise does not build, stream or keep to its size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edge.config_file import load_config
from export.graphs import ConvolutionalFrames, folded
from train.config import TrainConfig
from train.encoder import Encoder, EncoderConfig, FramesGraph

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


@pytest.mark.parametrize(
    ("size", "least", "most"), [("tiny", 0.4, 0.7), ("small", 3.0, 3.5), ("base", 6.0, 7.5)]
)
def test_each_size_streams_and_has_the_weight_it_says(size: str, least: float, most: float) -> None:
    path = None if size == "small" else CONFIGS / f"{size}.yaml"
    encoder = Encoder(load_config(TrainConfig, path).encoder).eval()
    millions = sum(p.numel() for p in encoder.parameters()) / 1e6
    assert least < millions < most
    fbank = torch.randn(1, 40, 80)
    graph = FramesGraph(encoder)
    with torch.inference_mode():
        whole, last = graph(fbank, encoder.initial_state(1))
        first, state = graph(fbank[:, :20], encoder.initial_state(1))
        second, state = graph(fbank[:, 20:], state)
        torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
        torch.testing.assert_close(state.tensors, last.tensors)
        assert whole.shape == (1, 4, encoder.statistics_size)
        assert encoder.head(whole[0]).shape == (4, encoder.config.embedding)
        torch.testing.assert_close(encoder(fbank), encoder.head(whole.sum(dim=1)))


def test_embeddings_leave_the_activity_outputs_alone() -> None:
    encoder = Encoder(EncoderConfig(channels=32, features=16)).train()
    before = {name: value.clone() for name, value in encoder.activity.state_dict().items()}
    encoder(torch.randn(4, 40, 80)).square().sum().backward()
    assert all(weight.grad is None for weight in encoder.activity.parameters())
    assert all(value.equal(before[name]) for name, value in encoder.activity.state_dict().items())
    assert all(weight.grad is not None for weight in encoder.blocks.parameters())


def test_a_running_mean_streams_and_exports() -> None:
    torch.manual_seed(3)
    encoder = Encoder(EncoderConfig(channels=32, features=16, mean_frames=50)).eval()
    fbank = torch.randn(1, 60, 80) + torch.linspace(-3.0, 3.0, 80)
    graph, exported = FramesGraph(encoder), ConvolutionalFrames(folded(encoder))
    with torch.inference_mode():
        whole, last = graph(fbank, encoder.initial_state(1))
        parts, state = [], encoder.initial_state(1).tensors
        for chunk in fbank.split(20, dim=1):
            records, *heard = exported(chunk, *state)
            state = [new[:, -old.shape[1] :] for new, old in zip(heard, state, strict=True)]
            parts.append(records)
        torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(state, last.tensors, rtol=1e-4, atol=1e-4)


def test_a_running_mean_takes_the_colour_of_a_line_away() -> None:
    encoder = Encoder(EncoderConfig(channels=32, features=16, mean_frames=50)).eval()
    past = encoder.initial_state(1).past
    fbank = torch.randn(1, 400, 80, generator=torch.Generator().manual_seed(3))
    plain = encoder.inputs(fbank, past)[0]
    coloured = encoder.inputs(fbank + torch.linspace(-1.0, 1.0, 80), past)[0]
    difference = (plain - coloured).abs().mean(dim=(0, 2))
    assert difference[-1] < 0.01 * difference[0]
