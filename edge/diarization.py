"""Who spoke when in recordings: one, or many at a time in processes of their own."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from edge.audio import stream_audio
from edge.encoder import Model
from edge.errors import EarmarkError
from edge.front_end import SAMPLE_RATE
from edge.pipeline import Pipeline, PipelineConfig
from edge.rttm import Turn
from edge.sources.file import recordings_in
from edge.state import State
from edge.statistics import Profile
from edge.turns import turns_from_events


@dataclass(frozen=True)
class Diarization:
    """Who spoke when in a recording of so many seconds, and whom the next may have in common."""

    path: Path
    turns: list[Turn]
    seconds: float
    after: State


def diarize(
    path: Path,
    model: Model,
    profiles: Sequence[Profile],
    blocks: Iterable[NDArray[np.float32]],
    before: State | None = None,
) -> Diarization:
    """The turns of a recording, samples (n,) at 16 kHz, by the way of a live source.

    `before`: who is known by a number from other recordings.
    """
    pipeline = Pipeline(model, profiles, PipelineConfig())
    if before is not None:
        pipeline.restore(before, elsewhere=True)
    events = [event for block in blocks for event in pipeline.push(block)]
    events += pipeline.flush()
    seconds = pipeline.position / SAMPLE_RATE
    return Diarization(path, turns_from_events(events), seconds, pipeline.state())


def recordings(paths: Iterable[Path]) -> list[Path]:
    """The files, and of a folder the WAV, FLAC and Ogg files in it, by name.

    Raises:
        EarmarkError: a folder holds none.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = recordings_in(path)
        if not inside:
            raise EarmarkError(
                f"{path} holds no WAV, FLAC or Ogg file", "Give a folder that does, or files"
            )
        found += inside
    return found


def diarize_in_parallel(
    paths: Sequence[Path], folder: Path | None, profiles: Sequence[Profile], jobs: int
) -> Iterator[Diarization | EarmarkError]:
    """What each recording holds, or what is wrong with it, in their order, as soon as known.

    Args:
        paths: the recordings.
        folder: of the model; the one that ships where None.
        profiles: who is enrolled.
        jobs: recordings at a time.

    Raises:
        EarmarkError: a process was killed from outside.
    """
    pool = ProcessPoolExecutor(
        min(jobs, len(paths)),
        get_context("spawn"),  # a fork would copy the locks of the model's threads
        initializer=_begin,
        initargs=(folder, profiles),
    )
    with pool:
        try:
            # Not 'map', which cancels what waits; the pool fails at that once its processes end.
            with _deaf_to_interrupts():
                waiting = deque(pool.submit(_hear, path) for path in paths)
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise EarmarkError(
                "a process that heard recordings was killed, perhaps for want of memory",
                "Give fewer --jobs",
            ) from error
        except BaseException:  # Ctrl-C, or nobody wants the rest: nobody waits for it either
            for child in active_children():
                child.terminate()
            raise


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes that the block starts leave Ctrl-C to this one, from their beginning on."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_context: tuple[Model, Sequence[Profile]]  # of a worker


def _begin(folder: Path | None, profiles: Sequence[Profile]) -> None:
    """Set up a worker. It ends with the process that began it, however that ends."""
    Thread(target=_end_with, args=(parent_process(),), daemon=True).start()
    global _context  # noqa: PLW0603 (loaded once a worker, not once a file)
    _context = Model.load(folder), profiles


def _end_with(process: BaseProcess) -> None:
    process.join()
    os._exit(1)  # in the midst of a recording, which nobody waits for


def _hear(path: Path) -> Diarization | EarmarkError:
    try:
        return diarize(path, *_context, stream_audio(path))
    except EarmarkError as error:
        return error
