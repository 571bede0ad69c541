"""A part of a change: between two networks, one begun with the other, lies one that knows both.

What a stage teaches may cost what the one before it taught, above all on voices and microphones
that neither heard. Weights in between keep most of both (Wortsman et al., 2022).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def keep_part(after: Iterable[Tensor], before: Iterable[Tensor], kept: float) -> None:
    """Move each tensor of `after` in place, so that the share `kept` of its change is left.

    Counts, which are whole numbers, stay.
    """
    with torch.no_grad():
        for new, old in zip(after, before, strict=True):
            if new.is_floating_point():
                new.copy_(torch.lerp(old.to(new.device), new, kept))
