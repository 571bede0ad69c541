"""Distillation targets: several teachers' embeddings fused into one space.

Each teacher is centred and brought to unit length; the concatenation's inner product is then the
mean of the teachers' cosine scores. A projection on its leading principal axes keeps that inner
product almost whole in the student's embedding size.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import EarmarkError
from train.whitening import whitening

TARGET_RIDGE = 0.3
Matrix = NDArray[np.float32]


def fuse_teachers(
    folder: Path, names: Sequence[str], lists: Sequence[str], size: int, *, whitened: bool = False
) -> Matrix:
    """Targets for the rows of several manifests, one after the other.

    Args:
        folder: holds `LIST.TEACHER.npy`, a row an utterance; a row of NaN was not computed.
        names: teachers.
        lists: manifests, by name.
        size: of the student's embedding.
        whitened: all directions made alike in variance, so that what sets one voice apart weighs as
            much in the loss as what many have in common.

    Returns:
        Unit-length targets (rows, size); NaN where any teacher has none.
    """
    views = []
    for name in names:
        paths = [folder / f"{stem}.{name}.npy" for stem in lists]
        for path in paths:
            if not path.is_file():
                raise EarmarkError(f"no teacher embeddings at {path}", "Check --corpus")
        views.append(_centred(np.concatenate([np.load(path) for path in paths])))
    fused = np.concatenate(views, axis=1)
    known = np.isfinite(fused).all(axis=1)
    _, _, axes = np.linalg.svd(fused[known], full_matrices=False)
    axes = axes[:size]
    # A singular vector's sign is arbitrary; fixed, a run resumes on any machine with the same map.
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    projected = fused @ axes.T
    if whitened:
        rows = projected[known]
        projected = (projected - rows.mean(axis=0)) @ whitening(rows, TARGET_RIDGE)
    targets = projected / np.linalg.norm(projected, axis=1, keepdims=True)
    return targets.astype(np.float32)  # type: ignore[no-any-return]


def _centred(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """Unit-length rows around the mean of those that are known."""
    rows = embeddings.astype(np.float64)
    rows -= np.nanmean(rows, axis=0)
    unit: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
