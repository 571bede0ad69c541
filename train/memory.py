"""What a teacher said of changed voices, kept on disk: it is asked once, not at every crop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from train.waveforms import locked

Row = NDArray[np.float32]


class Place(NamedTuple):
    """Which utterance, in which changed voice."""

    change: int
    utterance: int


class TeacherMemory:
    """Embeddings by change of voice and utterance, filled as they are asked for.

    A file that loader processes map together. Two that ask for the same row at once write the same
    values; a row that is half written holds NaN and counts as not there.
    """

    def __init__(self, path: Path, changes: int, utterances: int, size: int) -> None:
        """Open the file of (changes, utterances, size) float16, made here if it is not there."""
        with locked(path.parent):
            if not path.is_file():
                partial = path.with_suffix(".partial")
                rows = np.full((changes, utterances, size), np.nan, dtype=np.float16)
                with partial.open("wb") as file:
                    np.save(file, rows)
                partial.replace(path)
        self._rows: NDArray[np.float16] = np.load(path, mmap_mode="r+")

    def row(self, place: Place, ask: Callable[[], Row]) -> Row:
        """The embedding (size,) of an utterance in a changed voice; `ask` gives it the first time.

        Rounded to half precision the first time as well: a run must not depend on who asked.
        """
        kept = self._rows[place]
        if np.isnan(kept).any():
            kept[:] = ask()
        row: Row = kept.astype(np.float32)
        return row
