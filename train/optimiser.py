"""What the optimiser is told: learning rate by step, and which parameters decay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from edge.errors import EarmarkError
from train.config import OptimiserConfig


def learning_rate(step: int, config: OptimiserConfig) -> float:
    """Linear warm-up, then a half cosine to zero at the last step."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * half_cosine(min(1.0, done))


def warm_half_cosine(highest: float, step: int, steps: int, warmup: int) -> float:
    """A half cosine to zero over all steps, to which the first `warmup` come up linearly."""
    return highest * min(1.0, (step + 1) / warmup) * half_cosine(step / steps)


def half_cosine(done: float) -> float:
    """From 1 to 0 as the share of the steps that is done goes from 0 to 1."""
    return 0.5 * (1.0 + math.cos(math.pi * done))


def check_finite(what: str, value: Tensor, step: int) -> None:
    """See that a step, counted from 0, does not leave weights which are no numbers.

    Raises:
        EarmarkError: `value` is none.
    """
    if not torch.isfinite(value):
        raise EarmarkError(
            f"the {what} is {value.item()} at step {step}, expected a finite number",
            "What was saved before, if anything, is whole. Look for recordings that are not "
            "speech, or lower the learning_rate of this stage, in another folder with --run",
        )


def descend(optimiser: Optimizer, loss: Tensor, rate: float, step: int) -> float:
    """One step down the loss at a learning rate; returns what the loss was.

    Raises:
        EarmarkError: it is no number; nothing is changed.
    """
    check_finite("loss", loss, step)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()


def parameter_groups(modules: Sequence[nn.Module], decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices, none for biases and normalisation."""
    parameters = [p for module in modules for p in module.parameters()]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
