"""A bar on standard error for long work on files, where a person looks at it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge.audio import stream_audio
from edge.front_end import SAMPLE_RATE

Result = TypeVar("Result")

LONG_SECONDS = 120.0  # shorter files are done before a bar could be read


def stream_with_progress(path: Path) -> Iterator[NDArray[np.float32]]:
    """The blocks of `stream_audio`, with a bar if the file is long and standard error a terminal.

    Raises:
        EarmarkError: missing, not audio, truncated, empty or with samples that are no numbers.
    """
    seconds = _seconds(path) if sys.stderr.isatty() else 0.0
    if seconds < LONG_SECONDS:
        yield from stream_audio(path)
        return
    # Here, so that nothing that prints no bar needs rich.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(path.name.replace("[", r"\["), total=seconds)
        for block in stream_audio(path):
            yield block
            bar.advance(task, len(block) / SAMPLE_RATE)


def count_with_progress(results: Iterable[Result], total: int) -> Iterator[Result]:
    """The results as they come, with a bar of how many, if standard error is a terminal."""
    if total < 2 or not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    # What is printed meanwhile goes above the bar on a terminal, and where it belongs elsewhere.
    with Progress(console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        yield from bar.track(results, total, description="recordings")


def _seconds(path: Path) -> float:
    """Length of the file as far as its header tells; 0 where it does not."""
    try:
        length: float = soundfile.info(os.fsencode(path)).duration
    except (OSError, RuntimeError, TypeError):  # whatever is wrong with it is told by the source
        return 0.0
    return length
