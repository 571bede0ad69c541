"""The figures of a run, a row a step that is told of, as CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from edge.whole_file import write_whole


def add_row(path: Path, step: int, values: Mapping[str, float]) -> None:
    """Add the values of a step; their names head the file."""
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as output:
        writer = csv.writer(output, lineterminator="\n")
        if new:
            writer.writerow(["step", *values])
        writer.writerow([step, *(f"{value:.5f}" for value in values.values())])


def drop_rows_after(path: Path, step: int) -> None:
    """Take out what was written after a step: those steps will be gone through again."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    kept = [row for row in lines[1:] if row.endswith("\n") and _step(row) <= step]
    if kept:
        write_whole(path, "".join(lines[:1] + kept))
    else:  # other figures may head it next time, or a kill left it empty
        path.unlink()


def _step(row: str) -> float:
    """Of a row; that of one which a power cut spoilt is never over."""
    first = row.partition(",")[0]
    return int(first) if first.isdecimal() else math.inf
