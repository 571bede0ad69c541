"""Agglomerative clustering of statistics: clusters are compared as what they are, sums.

Unlike linkage on pairwise distances, every merge gives the exact embedding of all that the cluster
said, and the stopping rule is a likelihood ratio that knows how much speech stands on both sides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.encoder import Model
from edge.scoring import Calibration, Directions, Floats, directions, match_all
from edge.statistics import Sums


def agglomerate(
    model: Model,
    statistics: Sums,
    embeddings: Floats,
    fixed: int,
    *,
    odds: Calibration,
    threshold: float,
) -> list[list[int]]:
    """Merge clusters that are each other's likeliest while their llr is at least the threshold.

    All such pairs are merged at once (reciprocal nearest neighbours, Murtagh 1983): a few rounds,
    each with one call of the head, do what single merges do one after another.

    Args:
        model: embeds.
        statistics: one row a cluster to begin with (rows, size).
        embeddings: of these (rows, size).
        fixed: so many of the first rows are speakers known to be different, never merged with each
            other.
        odds: score.
        threshold: in llr (nats).

    Returns:
        The rows of each cluster; those of the settled speakers first, in their order.
    """
    members = [[row] for row in range(len(statistics))]
    sums, embeddings = statistics.copy(), embeddings.copy()
    while len(sums) > max(1, fixed):
        llrs = _llrs(odds, model.seconds(sums), embeddings, fixed)
        first, second = _reciprocal(llrs, threshold)
        if not len(first):
            break
        sums[first] += sums[second]
        embeddings[first] = model.embed(sums[first])
        for one, other in zip(first, second, strict=True):
            members[one] += members[other]
        gone = set(second.tolist())
        members = [rows for place, rows in enumerate(members) if place not in gone]
        sums, embeddings = np.delete(sums, second, axis=0), np.delete(embeddings, second, axis=0)
    return members


def _llrs(
    odds: Calibration,
    seconds: Floats,
    embeddings: Floats,
    fixed: int,
) -> Floats:
    """Of each row with each behind the `fixed` ones (rows, rows - fixed), with itself minus
    infinity.
    """
    rows = directions(embeddings)
    loose = Directions(rows.units[fixed:], rows.norms[fixed:])
    llrs = odds.llr(match_all(rows, loose), seconds[:, None], seconds[None, fixed:])
    own = llrs[fixed:]
    np.fill_diagonal(own, -np.inf)
    own[:] = np.maximum(own, own.T)  # rounding may tell the two sides apart
    return llrs


def _reciprocal(llrs: Floats, threshold: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs that are each other's likeliest, the lower row first, if they reach the threshold.

    `llrs`: see `_llrs`.
    """
    fixed = len(llrs) - llrs.shape[1]
    rows = np.arange(len(llrs))
    nearest = np.concatenate([fixed + np.argmax(llrs[:fixed], axis=1), np.argmax(llrs, axis=0)])
    best = np.concatenate([llrs[:fixed].max(axis=1), llrs.max(axis=0)])
    chosen = (nearest[nearest] == rows) & (rows < nearest) & (best >= threshold)
    first = np.flatnonzero(chosen)
    return first, nearest[first]
