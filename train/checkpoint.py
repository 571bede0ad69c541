"""The file that a stopped training goes on from."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from edge.errors import EarmarkError
from train.saved import read_saved, write_saved

SECONDS = 180.0  # from one checkpoint to the next

Parts = Mapping[str, nn.Module | torch.optim.Optimizer]  # all that a training changes


def save_checkpoint(path: Path, step: int, parts: Parts) -> None:
    """Write the state after so many steps."""
    write_saved({"step": step} | {name: part.state_dict() for name, part in parts.items()}, path)


def load_checkpoint(path: Path, parts: Parts) -> int:
    """Bring the parts into the state that was written; returns the steps done.

    Raises:
        EarmarkError: the file is damaged, or is another kind of training's.
    """
    try:
        state = read_saved(path)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return int(state["step"])
    except (AttributeError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise EarmarkError(
            f"cannot go on from {path}: {error}",
            f"Remove it to train from the beginning in {path.parent}, or give another --run",
        ) from error


@contextmanager
def saving(save: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Call `save` at the end, also if that is Ctrl-C; what is given calls it every few minutes."""
    saved = time.monotonic()

    def save_when_due() -> None:
        nonlocal saved
        if time.monotonic() - saved > SECONDS:
            save()
            saved = time.monotonic()

    try:
        yield save_when_due
    except KeyboardInterrupt:
        save()
        raise
    save()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back until a step is whole: half of one must not get into the checkpoint."""
    if threading.current_thread() is not threading.main_thread():  # others never see it
        yield
        return
    held: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if held:
        raise KeyboardInterrupt
