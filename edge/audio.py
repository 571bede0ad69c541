"""A whole recording at once, for the commands that work on files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.resample import Resampler
from edge.sources.file import FileSource


def read_audio(path: Path) -> NDArray[np.float32]:
    """Mono samples (n,) at 16 kHz of an audio file, by the same way as a live source.

    Raises:
        EarmarkError: missing, not audio, truncated, empty or with samples that are no numbers.
    """
    with FileSource(path) as source:
        resampler = Resampler(source.rate)
        pieces = [resampler.push(block.samples) for block in source.blocks()]
        return np.concatenate([*pieces, resampler.flush()])
