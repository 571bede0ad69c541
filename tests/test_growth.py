"""Risk: a wider encoder forgets what the narrower one, that it began as, had learnt."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_corpus import SHAPE, settled_encoder

from edge.errors import EarmarkError
from train.encoder import EncoderConfig
from train.growth import grow

WIDER = replace(SHAPE, channels=24, features=19, attention=11, head_hidden=20)


@pytest.mark.parametrize("seed", range(3))
def test_a_grown_encoder_computes_what_the_narrow_one_did(seed: int) -> None:
    narrow = settled_encoder(seed)
    wide = grow(narrow, WIDER)
    fbank = 3.0 * torch.randn(2, 60, SHAPE.num_mels) + 5.0
    with torch.inference_mode():
        before, _ = narrow.frames(fbank, narrow.initial_state(2))
        after, _ = wide.frames(fbank, wide.initial_state(2))
        for old, new in zip(before, after, strict=True):
            torch.testing.assert_close(new[..., : old.shape[-1]], old)
        torch.testing.assert_close(wide(fbank), narrow(fbank))


def test_what_was_added_learns() -> None:
    wide = grow(settled_encoder(0), WIDER).train()
    optimiser = torch.optim.SGD(wide.parameters(), lr=0.1)
    added = {
        "stem.linear.weight": (slice(SHAPE.channels, None),),
        "blocks.0.project.linear.weight": (slice(SHAPE.channels), slice(SHAPE.channels, None)),
        "head_in.weight": (slice(SHAPE.head_hidden, None),),
        "head_linear.weight": (slice(None), slice(-3, None)),
    }
    begun = {name: wide.get_parameter(name)[place].clone() for name, place in added.items()}
    for _ in range(3):
        loss = wide(torch.randn(8, 60, SHAPE.num_mels)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for name, place in added.items():
        assert not torch.equal(wide.get_parameter(name)[place], begun[name]), name


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (replace(SHAPE, channels=8), r"encoder\.channels 16 \(now 8\)\. "),
        (replace(WIDER, features=8), r"encoder\.features 16 \(now 8\)\. "),
        (
            replace(WIDER, kernel=5, embedding=9),
            r"kernel 3 \(now 5\), encoder\.embedding 8 \(now 9\)\. ",
        ),
    ],
)
def test_another_shape_is_refused_by_what_differs(shape: EncoderConfig, said: str) -> None:
    with pytest.raises(EarmarkError, match=f"does not grow into one of another shape: .*{said}"):
        grow(settled_encoder(0), shape)
