"""Files of tensors: there whole or not at all, and read without running what stands in them."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch


def write_saved(content: dict[str, Any], path: Path) -> None:
    """Write the content; a file half written never takes the place of a whole one."""
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)


def read_saved(path: Path, device: torch.device) -> Any:
    """The content of a file, its tensors on a device.

    Raises:
        ValueError: the file is damaged, or is none of these.
    """
    try:
        return torch.load(path, weights_only=True, map_location=device)
    except (EOFError, OSError, RuntimeError, UnpicklingError, ValueError) as error:
        # torch's own words advise to unpickle it, unsafely.
        raise ValueError("it is damaged, or holds no tensors") from error
