"""A lock between processes, which the kernel takes back from one that ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, patience: float) -> Iterator[None]:
    """Alone among the processes that ask for this file or folder, which must be there.

    Raises:
        BlockingIOError: another held it for `patience` seconds.
        OSError: it cannot be opened.
    """
    # Over NFS, who locks a file alone must be able to write to it.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    deadline = time.monotonic() + patience
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)
