"""Files of tensors: there whole or not at all, and read without running what stands in them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from edge.errors import EarmarkError
from edge.whole_file import replacing


def write_saved(content: dict[str, Any], path: Path) -> None:
    """Write the content; a file half written never takes the place of a whole one.

    Raises:
        EarmarkError: it cannot be written, as on a full disk; what was there is there still.
    """
    whole = BytesIO()  # torch would not say why a file of its own cannot be written
    torch.save(content, whole)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(whole.getbuffer())
    except OSError as error:
        raise EarmarkError(
            f"cannot write {path}: {error.strerror}",
            "Make room there; what was written before is whole, and the same command goes on",
        ) from error


def read_saved(path: Path) -> dict[str, Any]:
    """The content of a file, its tensors on the CPU.

    Raises:
        ValueError: the file cannot be read, is damaged, or is none of these.
    """
    try:
        content = BytesIO(path.read_bytes())
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from error
    try:
        saved = torch.load(content, weights_only=True, map_location="cpu")
    except Exception as error:  # of whatever kind: it reads garbage as far as it goes
        # torch's own words advise to unpickle it, unsafely.
        raise ValueError("it is damaged, or holds no tensors") from error
    if not isinstance(saved, dict):
        raise ValueError(f"it holds a {type(saved).__name__}, expected tensors by name")
    return saved
