"""Where the user's own files are, as the XDG Base Directory Specification has it."""

from __future__ import annotations

import os
from pathlib import Path

from edge.errors import EarmarkError


def user_folder(variable: str, usual: str) -> Path:
    """Earmark's folder in the one that an environment variable names; else in `usual` at home.

    Raises:
        EarmarkError: the variable is not set, and the user has no home.
    """
    try:
        parent = Path(os.environ.get(variable) or Path.home() / usual)
    except RuntimeError as error:  # as in a container, of a user whom it does not know
        raise EarmarkError(
            "this user has no home folder", f"Set HOME, or {variable}, to a folder of theirs"
        ) from error
    return parent / "earmark"
