"""Where the voice changes in a segment that has closed, heard with all of it in view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge.encoder import Model
from edge.scoring import Floats, directions
from edge.statistics import AROUND, TOKEN, Sums, surroundings

LEAST = 3  # tokens of a voice
CHANGE_LOG_ODDS = -0.5  # a stretch stands out whose mean log-odds with the rest are less


def tokens_of(totals: Sums, embed: Callable[[Sums], Floats]) -> Floats:
    """What the network reads of a stretch, as `as_tokens` gives it.

    Args:
        totals: statistics from its beginning to each of its records (records, size).
        embed: statistics (rows, size) to embeddings.
    """
    around = surroundings(totals)
    return as_tokens(embed(around.reshape(-1, around.shape[-1])), len(totals) // TOKEN)


def as_tokens(embeddings: NDArray[np.float64], tokens: int) -> Floats:
    """What the network reads (tokens, widths x embedding): unit embeddings, width by width.

    `embeddings`: of `surroundings`, flattened to (widths x tokens, embedding).
    """
    units = directions(embeddings).units.reshape(len(AROUND), tokens, -1)
    return units.transpose(1, 0, 2).reshape(tokens, -1)


def changes(model: Model, totals: Sequence[Sums]) -> list[int]:
    """Records of a segment at which another voice goes on, in order.

    `totals`: statistics from the beginning of the segment to each of its records.
    """
    if len(totals) < 2 * LEAST * TOKEN:
        return []
    tokens = tokens_of(np.stack(totals), model.embed)
    return [TOKEN * place for place in cuts(model.one_voice(tokens))]


def cuts(log_odds: Floats) -> list[int]:
    """Tokens at which a segment is cut, in order.

    The stretch that is likest to be another voice than all the rest is cut out; then what it is,
    and what is before and behind it, are cut in the same way, until nothing stands out.

    `log_odds` (tokens, tokens): that two tokens are one voice's.
    """
    found: list[int] = []
    waiting = [(0, len(log_odds))]
    while waiting:
        begin, end = waiting.pop()
        if end - begin < 2 * LEAST:
            continue
        means = _standing_out(log_odds[begin:end, begin:end])
        first, last = np.unravel_index(np.argmin(means), means.shape)
        if means[first, last] < CHANGE_LOG_ODDS:
            edges = [begin, begin + int(first), begin + int(last), end]
            parts = [part for part in pairwise(edges) if part[0] < part[1]]
            found += [start for start, _ in parts[1:]]
            waiting += parts
    return sorted(found)


def _standing_out(log_odds: Floats) -> Floats:
    """Mean log-odds between the tokens from `first` to before `last`, and all others.

    An array (tokens + 1, tokens + 1) by first and last; infinite where there are too few tokens.
    """
    count = len(log_odds)
    sums = np.pad(log_odds.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    first, last = np.ogrid[: count + 1, : count + 1]
    length, diagonal = last - first, np.diag(sums)
    inside = diagonal[None] - sums - sums.T + diagonal[:, None]
    with_all = sums[-1][None] - sums[-1][:, None]
    possible = (
        (length >= LEAST)
        & (count - length >= LEAST)
        & ((first == 0) | (first >= LEAST))
        & ((last == count) | (count - last >= LEAST))
    )
    means: Floats = np.where(
        possible, (with_all - inside) / np.where(possible, length * (count - length), 1), np.inf
    )
    return means
