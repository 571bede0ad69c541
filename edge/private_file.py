"""Files that their owner alone may read."""

from __future__ import annotations

import os
from pathlib import Path

from edge.errors import EarmarkError


def write_private(path: Path, data: bytes) -> None:
    """Write a new file, whole and on disk when this returns.

    Raises:
        EarmarkError: something is there already, or it cannot be written.
    """
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                path.unlink()
                raise
    except FileExistsError as error:
        raise EarmarkError(
            f"{path} exists already, a new file was expected", "Nothing was changed; name another"
        ) from error
    except OSError as error:
        raise EarmarkError(
            f"cannot write {path}: {error.strerror}", "Check the folder and the space on the disk"
        ) from error


def replace_private(path: Path, data: bytes) -> None:
    """Write a file in place of the one that is there; whole or not at all.

    Raises:
        EarmarkError: it cannot be written.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)  # what a process that was killed left
    write_private(new, data)
    new.replace(path)
