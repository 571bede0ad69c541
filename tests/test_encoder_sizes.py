"""Risk: a size that the configurations promise does not build, stream or keep to its size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edge.config_file import load_config
from train.config import TrainConfig
from train.encoder import Encoder, FramesGraph

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


@pytest.mark.parametrize(
    ("size", "least", "most"), [("tiny", 0.3, 0.6), ("small", 2.2, 2.8), ("base", 4.0, 5.5)]
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
        torch.testing.assert_close(state, last)
        assert whole.shape == (1, 4, encoder.statistics_size)
        assert encoder.head(whole[0]).shape == (4, encoder.config.embedding)
