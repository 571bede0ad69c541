"""Agglomerative clustering of statistics: clusters are compared as what they are, sums.

Unlike linkage on pairwise distances, every merge gives the exact embedding of all that the cluster
said, and the stopping rule is a likelihood ratio that knows how much speech stands on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.encoder import Model
from edge.speakers import Voice, odds
from edge.statistics import Sums


def agglomerate(
    model: Model, statistics: Sums, settled: NDArray[np.bool_], threshold: float
) -> list[list[int]]:
    """Merge the likeliest pair of clusters while their llr is at least the threshold.

    Args:
        model: embeds and scores.
        statistics: one row a cluster to begin with (rows, size).
        settled: the first rows are speakers known to be different, never merged with each other;
            whether each of these is known from other recordings.
        threshold: in llr (nats).

    Returns:
        The rows of each cluster; those of the settled speakers first, in their order.
    """
    members = [[row] for row in range(len(statistics))]
    if len(statistics) < 2:
        return members
    fixed = len(settled)
    elsewhere = np.zeros(len(statistics), dtype=bool)
    elsewhere[:fixed] = settled
    sums = statistics.copy()
    embeddings = model.embed(sums)
    seconds = model.seconds(sums)
    apart = elsewhere[:, None] | elsewhere[None]
    llrs = odds(model, embeddings @ embeddings.T, seconds[:, None], seconds[None], apart)
    np.fill_diagonal(llrs, -np.inf)
    llrs[:fixed, :fixed] = -np.inf
    while True:
        first, second = sorted(np.unravel_index(int(np.argmax(llrs)), llrs.shape))
        if llrs[first, second] < threshold:
            return [rows for rows in members if rows]
        members[first] += members[second]
        members[second] = []
        sums[first] += sums[second]
        seconds[first] += seconds[second]
        embeddings[first] = model.embed(sums[first][None])[0]
        row = odds(model, embeddings @ embeddings[first], seconds, seconds[first], apart[first])
        row[[not rows for rows in members]] = -np.inf
        row[first] = -np.inf
        if first < fixed:
            row[:fixed] = -np.inf
        llrs[first], llrs[:, first] = row, row
        llrs[second], llrs[:, second] = -np.inf, -np.inf


def leave_one_out(
    model: Model, statistics: Sums, voices: Sequence[Voice], owner: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Llr (rows, voices) of stretches with voices; a voice that a stretch is part of is without it.

    Args:
        model: embeds and scores.
        statistics: of the stretches (rows, size).
        voices: with the stretches that they own.
        owner: voice that each stretch is part of, or -1. Where it is all of that voice, the llr
            is minus infinity.
    """
    embeddings = model.embed(statistics)
    seconds = model.seconds(statistics)
    sums = np.stack([voice.statistics for voice in voices])
    known = np.stack([voice.embedding for voice in voices])
    elsewhere = np.array([voice.elsewhere for voice in voices])
    llrs = odds(model, embeddings @ known.T, seconds[:, None], model.seconds(sums)[None], elsewhere)
    owned = np.flatnonzero(owner >= 0)
    if len(owned):
        rest = sums[owner[owned]] - statistics[owned]
        rest[:, 0] = np.maximum(rest[:, 0], 0.0)
        cosines = np.sum(model.embed(rest) * embeddings[owned], axis=1)
        own = odds(model, cosines, seconds[owned], model.seconds(rest), elsewhere[owner[owned]])
        llrs[owned, owner[owned]] = np.where(rest[:, 0] > 0.0, own, -np.inf)
    return llrs
