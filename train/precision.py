"""In what a training step is computed on this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch

from train.config import TrainConfig

# CPUs of other kinds take bf16 too, and need nine times as long for it as for float32.
FAST_BF16 = ("avx512_bf16", "amx_bf16")


def resolved(config: TrainConfig) -> TrainConfig:
    """The configuration with a precision of "auto" as what that is here, and is written down."""
    if config.optimiser.precision != "auto":
        return config
    precision: Literal["no", "bf16"] = "bf16" if _fast_bf16() else "no"
    return replace(config, optimiser=replace(config.optimiser, precision=precision))


def _fast_bf16() -> bool:
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return any(able.get(name) for name in FAST_BF16)
