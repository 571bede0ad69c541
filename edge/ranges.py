"""What a setting that is a number may be."""

from __future__ import annotations

import math

from edge.errors import EarmarkError


def check_range(key: str, value: float, least: float, most: float = math.inf) -> None:
    """Refuse a setting that is not from `least` to `most`, or is infinite.

    Raises:
        EarmarkError: naming the setting, what came and what is expected.
    """
    if not (least <= value <= most and value < math.inf):
        expected = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
        raise EarmarkError(f"{key} is {value}, expected {expected}", "Correct the value")
