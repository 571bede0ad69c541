"""Recordings for the commands that work on files, by the same way as a live source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.resample import Resampler
from edge.sources.file import FileSource


def stream_audio(path: Path) -> Iterator[NDArray[np.float32]]:
    """Mono samples (n,) at 16 kHz of an audio file, block after block.

    Raises:
        EarmarkError: missing, not audio, truncated, empty or with samples that are no numbers.
    """
    with FileSource(path) as source:
        resampler = Resampler(source.rate)
        for block in source.blocks():
            yield resampler.push(block.samples)
        yield resampler.flush()


def read_audio(path: Path) -> NDArray[np.float32]:
    """Mono samples (n,) at 16 kHz of a whole audio file.

    Raises:
        EarmarkError: as `stream_audio`.
    """
    return np.concatenate(list(stream_audio(path)))
