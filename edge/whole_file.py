"""Writing a file so that it is there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from edge.errors import EarmarkError


def write_whole(path: Path, text: str) -> None:
    """Write UTF-8 text; what was there before stays until all of it is written.

    Raises:
        EarmarkError: it cannot be written.
    """
    path = path.resolve()  # a link stays one
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        if path.exists() and not path.is_file():  # a pipe or a device
            path.write_text(text, encoding="utf-8")
            return
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise EarmarkError(f"cannot write {path}: {error.strerror}", "Give another file") from error
