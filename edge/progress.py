"""A bar on standard error for long files, and for many, where a person looks at it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge.audio import stream_audio
from edge.front_end import SAMPLE_RATE

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


def each_with_progress(paths: Sequence[Path]) -> Iterator[Path]:
    """The paths in order, with a bar if standard error is a terminal and the answers go elsewhere.

    What is printed on the same terminal for each of them is progress enough.
    """
    if len(paths) < 2 or sys.stdout.isatty() or not sys.stderr.isatty():
        yield from paths
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(console=console, transient=True, redirect_stdout=False) as bar:
        yield from bar.track(paths, description="files")


def _seconds(path: Path) -> float:
    """Length of the file as far as its header tells; 0 where it does not."""
    try:
        length: float = soundfile.info(path).duration
    except (OSError, RuntimeError, TypeError):  # whatever is wrong with it is told by the source
        return 0.0
    return length
