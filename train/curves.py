"""The curves of a run as a picture: losses and held-out error over steps."""

from __future__ import annotations

import csv
from pathlib import Path

from matplotlib.figure import Figure

from edge.whole_file import replacing

SMOOTHING = 10  # logged steps in the running mean of a loss


def plot_curves(run: Path) -> None:
    """Write `run/curves.png` from `run/train.csv` and `run/validation.csv`, as far as they go."""
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    axes = figure.subplots(1, 3)
    losses, errors = _columns(run / "train.csv"), _columns(run / "validation.csv")
    for axis, name in zip(axes, ("distillation", "classification"), strict=False):
        values = losses.get(name, [])  # none where the term has no weight
        steps = losses["step"] if values else []
        axis.plot(steps, values, color="0.8", linewidth=0.8)
        axis.plot(steps, _running_mean(values))
        axis.set(title=f"{name} loss", xlabel="step")
    axes[2].plot(errors.get("step", []), errors.get("eer_3s", []), marker=".")
    axes[2].set(title="held-out EER at 3 s, %", xlabel="step", ylim=(0, None))
    with replacing(run / "curves.png") as partial:
        figure.savefig(partial, dpi=110)


def _columns(path: Path) -> dict[str, list[float]]:
    """Columns of a log by name; none where there is no log yet."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else {})}


def _running_mean(values: list[float]) -> list[float]:
    spans = (values[max(0, i + 1 - SMOOTHING) : i + 1] for i in range(len(values)))
    return [sum(span) / len(span) for span in spans]
