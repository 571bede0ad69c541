"""Metrics of trials (EER, minDCF) and of detection (ROC-AUC, average precision)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.floating]


def all_pairs(
    embeddings: Floats, speakers: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores and targets of every unordered pair.

    Args:
        embeddings: unit length, (utterances, size).
        speakers: one label an utterance.

    Returns:
        Cosine scores, and whether the pair is of one speaker.
    """
    labels = np.unique(np.asarray(speakers), return_inverse=True)[1]
    first, second = np.triu_indices(len(labels), k=1)
    scores = embeddings.astype(np.float64) @ embeddings.T.astype(np.float64)
    return scores[first, second], labels[first] == labels[second]


def error_rates(scores: Floats, targets: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Miss and false-alarm rates as the threshold rises past each score, from accepting all."""
    if not targets.any() or targets.all():
        raise ValueError("error rates need trials of both kinds: same and different speakers")
    order = np.argsort(scores, kind="stable")
    scores, targets = scores[order], targets[order]
    last_of_tie = np.append(scores[1:] > scores[:-1], True)
    miss = np.cumsum(targets)[last_of_tie] / targets.sum()
    false_alarm = 1.0 - np.cumsum(~targets)[last_of_tie] / (~targets).sum()
    return np.concatenate([[0.0], miss]), np.concatenate([[1.0], false_alarm])


def equal_error_rate(scores: Floats, targets: NDArray[np.bool_]) -> float:
    """EER in [0, 1]: where miss and false-alarm rates cross, linearly between thresholds."""
    miss, false_alarm = error_rates(scores, targets)
    i = int(np.argmax(miss >= false_alarm))
    d0, d1 = false_alarm[i - 1] - miss[i - 1], miss[i] - false_alarm[i]
    return float(miss[i - 1] + (miss[i] - miss[i - 1]) * d0 / (d0 + d1))


def min_dcf(scores: Floats, targets: NDArray[np.bool_], prior: float = 0.01) -> float:
    """Minimum normalised detection cost (NIST SRE), costs 1 and 1, at the given target prior."""
    miss, false_alarm = error_rates(scores, targets)
    cost = prior * miss + (1.0 - prior) * false_alarm
    return float(cost.min() / min(prior, 1.0 - prior))


def roc_auc(scores: Floats, targets: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: how often a target scores above a non-target; ties count half."""
    count = int(targets.sum())
    ranks = rankdata(scores)[targets].sum()
    return float((ranks - count * (count + 1) / 2) / (count * (len(targets) - count)))


def average_precision(scores: Floats, targets: NDArray[np.bool_]) -> float:
    """Mean of the precision at each target, going down the scores."""
    found = targets[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(found) / np.arange(1, len(found) + 1)
    return float(precision[found].mean())
