"""What the values of settings may be; msgspec refuses others, and names the setting."""

from __future__ import annotations

import math
from typing import Annotated, get_type_hints

from msgspec import Meta

Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Positive = Annotated[float, Meta(gt=0.0)]
NotNegative = Annotated[float, Meta(ge=0.0)]
Count = Annotated[int, Meta(ge=1)]
Number = Annotated[int, Meta(ge=0)]

RANGES = (tuple[float, float], tuple[int, int])


def check_ranges(settings: object) -> None:
    """See that every pair of numbers in a dataclass is a range from which one can be drawn.

    Raises:
        ValueError: one is not; of two integers, the second is not drawn itself.
    """
    for name, hint in get_type_hints(type(settings)).items():
        if hint not in RANGES:
            continue
        low, high = getattr(settings, name)
        ordered = low < high if hint == tuple[int, int] else low <= high
        if not (ordered and math.isfinite(low) and math.isfinite(high)):
            raise ValueError(
                f"{name} is [{low}, {high}], expected two numbers, the lower one first"
            )
