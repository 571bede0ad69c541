"""Metrics of trials (EER, minDCF, Cllr) and of detection (ROC-AUC, average precision)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
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
    _check_kinds(targets)
    order = np.argsort(scores, kind="stable")
    scores, targets = scores[order], targets[order]
    last_of_tie = np.append(scores[1:] > scores[:-1], True)
    miss = np.cumsum(targets)[last_of_tie] / targets.sum()
    false_alarm = 1.0 - np.cumsum(~targets)[last_of_tie] / (~targets).sum()
    return np.concatenate([[0.0], miss]), np.concatenate([[1.0], false_alarm])


def _check_kinds(targets: NDArray[np.bool_]) -> None:
    if not targets.any() or targets.all():
        raise ValueError("error rates need trials of both kinds: same and different speakers")


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


def cllr(llrs: Floats, targets: NDArray[np.bool_]) -> float:
    """Cost of natural-log likelihood ratios in bits (Brümmer and du Preez, 2006).

    What they lack of full knowledge at even odds: 0 for certainty, 1 for llrs that are all 0, more
    for such as mislead.
    """
    _check_kinds(targets)
    missed, accepted = np.logaddexp(0.0, -llrs[targets]), np.logaddexp(0.0, llrs[~targets])
    return float((missed.mean() + accepted.mean()) / (2.0 * np.log(2.0)))


def min_cllr(scores: Floats, targets: NDArray[np.bool_]) -> float:
    """The least Cllr that any rising calibration of the scores could reach, by isotonic regression.

    Its gap to `cllr` is the cost of a bad calibration.
    """
    _check_kinds(targets)
    _, tie, counts = np.unique(scores, return_inverse=True, return_counts=True)
    shares = np.bincount(tie, weights=targets) / counts
    posteriors = isotonic_regression(shares, weights=counts).x.clip(0.0, 1.0)[tie]
    prior_odds = targets.sum() / (~targets).sum()
    with np.errstate(divide="ignore"):
        llrs = np.log(posteriors) - np.log1p(-posteriors) - np.log(prior_odds)
    return cllr(llrs, targets)


def roc_auc(scores: Floats, targets: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: how often a target scores above a non-target; ties count half."""
    count = int(targets.sum())
    ranks = rankdata(scores)[targets].sum()
    return float((ranks - count * (count + 1) / 2) / (count * (len(targets) - count)))


def average_precision(scores: Floats, targets: NDArray[np.bool_]) -> float:
    """Mean of the precision at each target, going down the scores; ties are taken all at once."""
    _, tie = np.unique(-scores, return_inverse=True)
    found = np.bincount(tie, weights=targets)
    precision = np.cumsum(found) / np.cumsum(np.bincount(tie))
    return float(precision @ found / found.sum())
