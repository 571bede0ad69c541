"""Pictures that matplotlib draws: what it could not write is told before the work."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from edge.errors import EarmarkError


def check_picture(path: Path) -> None:
    """See that matplotlib knows the form that the name of a picture asks for.

    Raises:
        EarmarkError: it does not.
    """
    known = Figure().canvas.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in known:
        raise EarmarkError(
            f"cannot draw {path}: expected a name that ends in one of .{', .'.join(sorted(known))}",
            "Give another, as *.png",
        )
