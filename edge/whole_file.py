"""Writing a file so that it is there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.errors import EarmarkError

UNFINISHED = ".partial-*"  # what a killed process may leave of a file


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside this one, with its ending, for the block to write; it then takes its place.

    What was there before stays until then, and for good if the block fails.
    """
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Bring to the disk what is in a file; or in a folder, which files those are.

    Raises:
        OSError: it cannot be opened, or not be written.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_writable(path: Path) -> None:
    """See before long work that `write_whole` may write its outcome there, or in that folder.

    Raises:
        EarmarkError: it may not.
    """
    needed = [path] if path.exists() else []
    if path.is_file() or not path.exists():
        needed.append(path.resolve().parent)  # a file is replaced, not written to
    for place in needed:
        if not os.access(place, os.W_OK):
            raise EarmarkError(
                f"cannot write {path}: {place} is missing, or cannot be written", "Give another one"
            )


def spare(files: Iterable[Path], outputs: Collection[Path]) -> None:
    """See before the work that no output, given as resolved, is written over a file that is read.

    Raises:
        EarmarkError: one of the outputs is among the files.
    """
    for file in files:
        if file.resolve() in outputs:
            raise EarmarkError(
                f"{file} is to be read, and an output would be written over it",
                "Give the output another name, or folder",
            )


def write_whole(path: Path, text: str) -> None:
    """Write UTF-8 text; what was there before stays until all of it is written.

    Raises:
        EarmarkError: it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device
            path.write_text(text, encoding="utf-8")
            return
        with replacing(path.resolve()) as partial:  # a link stays one
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EarmarkError(f"cannot write {path}: {error.strerror}", "Give another file") from error
