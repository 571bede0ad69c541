"""Files that their owner alone may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edge.errors import EarmarkError
from edge.whole_file import replacing, sync


def make_private(folder: Path) -> None:
    """Make a folder, and those above it, where they are missing: their owner's alone.

    Raises:
        OSError: it cannot be made.
    """
    # Not `parents=True`, which leaves those above to the umask.
    for each in (*reversed(folder.parents), folder):
        each.mkdir(mode=0o700, exist_ok=True)


def read_private(path: Path, what: str, limit: int, remedy: str) -> bytes:
    """The first `limit` bytes of a secret file.

    `what` names it before its path in errors; `remedy` is for who has none.

    Raises:
        EarmarkError: it cannot be read, or others may read it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(limit)
    except OSError as error:
        raise EarmarkError(f"cannot read {what} {path}: {error.strerror}", remedy) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise EarmarkError(f"others may read {what} {path}", f"Run 'chmod 600 {path}'")
    return data


def write_private(path: Path, data: bytes) -> None:
    """Write a new file, whole and on disk when this returns.

    Raises:
        EarmarkError: something is there already, or it cannot be written.
    """
    try:
        _write_new(path, data)
    except FileExistsError as error:
        raise EarmarkError(
            f"{path} exists already, a new file was expected", "Nothing was changed; name another"
        ) from error
    except OSError as error:
        raise EarmarkError(
            f"cannot write {path}: {error.strerror}", "Check the folder and the space on the disk"
        ) from error


def check_replaceable(path: Path) -> None:
    """See before long work that `replace_private` may write its outcome there.

    Raises:
        EarmarkError: it may not.
    """
    folder = next(parent for parent in path.resolve().parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise EarmarkError(
            f"cannot write {path}: expected a file in a folder that can be written",
            "Give another file",
        )


def replace_private(path: Path, data: bytes) -> None:
    """Write a file that may be there already; what was in it stays until all is on disk.

    After a power cut, too, it holds what it held when this returned.

    Raises:
        EarmarkError: it cannot be written.
    """
    path = path.resolve()  # a link stays one
    try:
        make_private(path.parent)
        with replacing(path) as partial:
            partial.unlink(missing_ok=True)
            _write_new(partial, data)
        sync(path.parent)
    except OSError as error:
        raise EarmarkError(
            f"cannot write {path}: {error.strerror}", "Check the folder and the space on the disk"
        ) from error


def _write_new(path: Path, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise
