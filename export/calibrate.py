"""Fitting what turns scores into decisions, on speakers that the encoder was not trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.optimize import minimize

from edge.across import Across, excess, told_by_others
from edge.encoder import Model
from edge.errors import EarmarkError
from edge.gate import GateConfig
from edge.records import all_records
from edge.resemblance import Resemblance
from edge.scoring import (
    MAX_SECONDS,
    MIN_SECONDS,
    Calibration,
    abundance,
    directions,
    likeness,
    match_all,
)
from export.sides import Channel, Cut, Sides, cut_sides, hear_sides, rows_of
from train.corpus import Speech

Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]
Audio = NDArray[np.float32]

LONGEST_WITHIN = 120.0  # seconds: in a meeting a voice is itself the more, the more it has said
TABLE = 4  # speakers of a recording
PLENTY = float(np.log(2.0))  # abundance from which on strangers tell how alike they are
# Of 2 to 24 enrolled, by odds fitted on other corpora, 3 and 5 are as good, 1 and 8 worse.
WEIGHT = 3.0  # of the usual likeness of strangers, in voices
RARE = 0.01  # share of norms, for so much speech, at either end that count as what is next to them
LENGTHS = 8  # classes of lengths of speech, each of which counts alike


def fit_calibration(
    model: Model, speech: Speech, unheard: Set[str], channels: Sequence[Channel]
) -> tuple[Across, Calibration, Resemblance]:
    """What turns cosines, net seconds and norms of embeddings into log-likelihood ratios.

    The speech of every speaker is parted at a random place, and each part gives one side of a
    trial, from 0.4 to 30 s long. All is heard as it is and through each of the `channels`: both
    sides of a trial through one of them, as within a recording, whose voices share its room,
    microphone and line; or each through another, as between recordings, where
    nobody else is enrolled, or everybody of the corpus (see `edge.across`). Strangers are of one
    corpus, so that its language and microphones do not tell them apart. Logistic regression, with
    both kinds of trials and all lengths of speech weighted alike, then makes the score a likelihood
    ratio (Brümmer and du Preez, 2006).

    Within a recording, strangers sit at one table of a few; how much they resemble each other
    there, by their cosines, moves the odds.

    Of voices that a stage has heard, odds from one recording to another would be too good. Within
    one, much speech counts for more: meetings of held-out voices have 14.1 % DER by it for 15.7.

    Args:
        model: embeds.
        speech: of the speakers held out.
        unheard: those of them on whom alone the odds between recordings are fitted.
        channels: see above.

    Returns:
        The odds between recordings, those within one, and how voices resemble each other there.

    Raises:
        EarmarkError: there are too few speakers, or the model hears too little of them, or does
            not tell them apart.
    """
    audios, speakers, corpora = speech
    homes = dict(zip(speakers, corpora, strict=True))
    if not _have_strangers(homes):
        raise EarmarkError(
            "odds are fitted on speakers held out, and no two of them are of one corpus",
            "Name more speakers in the lists: 15 % are held out, by their names",
        )
    if not _have_strangers({name: homes[name] for name in unheard & set(homes)}):
        unheard = set(homes)  # of a small corpus, nobody may be among the first 6 %
    samples = [len(audio) for audio in audios]
    cuts_within, cuts_across = (
        cut_sides(speakers, samples, chosen) for chosen in (set(homes), unheard & set(homes))
    )
    heard_within, heard_across = list[tuple[Sides, Sides]](), list[tuple[Sides, Sides]]()
    for channel in track([_as_it_is, *channels], "calibrating on held-out speakers"):
        heard = (_hear(model, channel(audio)) for audio in audios)
        segments, voices = zip(*heard, strict=True)
        heard_within.append(hear_sides(model, segments, cuts_within))
        heard_across.append(hear_sides(model, voices, cuts_across))
    alone, among, usual = _between_recordings(heard_across, cuts_across, homes)
    tables = _at_tables(heard_within, cuts_within, homes)
    for trials in (alone, [trial for corpus in tables.values() for trial in corpus]):
        same = np.concatenate([np.zeros(0, dtype=bool), *(trial.same for trial in trials)])
        if not same.any() or same.all():
            raise EarmarkError(
                "the model hears too little speech of those held out to fit odds on: expected "
                "trials of one speaker and of two",
                "Train its speech outputs for longer (activity.steps), or name more speakers in "
                "the lists",
            )
    across = Across(_fit_across(alone), _fit_across(among), usual, WEIGHT)
    return across, *_fit_within(tables)


def _have_strangers(homes: Mapping[str, str]) -> bool:
    """Whether two speakers are of one corpus, as `homes` tells."""
    return len(set(homes.values())) < len(homes)


def _hear(model: Model, audio: Audio) -> tuple[Floats, Floats]:
    """Statistics of the records of which segments are made, and of those that tell of a voice."""
    records = all_records(model, GateConfig(), audio)
    return (
        rows_of(model, [record for record in records if record.speech]),
        rows_of(model, [record for record in records if record.evidence]),
    )


def _as_it_is(audio: Audio) -> Audio:
    return audio


class Trials(NamedTuple):
    """What is known of trials, an array (trials,) each."""

    cosines: Floats
    norms: Floats  # sums of the log norms of both embeddings
    abundances: Floats
    same: Marks  # whether of one speaker


def _trials(
    older: Sides, newer: Sides, owners: NDArray[np.str_], usual: float | None = None
) -> Trials:
    """All trials between two sets of sides, by their owners, who are of one corpus.

    The sides of one trial are of one speaker. `usual`: cosines are less what others tell of them,
    who have this one with strangers elsewhere.
    """
    match = match_all(directions(older.embeddings), directions(newer.embeddings))
    cosines = match.cosines
    if usual is not None:
        cosines = cosines - excess(*told_by_others(cosines, owners, owners), usual, WEIGHT)
    abundances = abundance(older.seconds[:, None], newer.seconds[None])
    heard = (older.seconds > 0)[:, None] & (newer.seconds > 0)[None]
    same = np.eye(len(owners), dtype=bool)
    used = heard & (same | (owners[:, None] != owners[None]))
    return Trials(cosines[used], match.norms[used], abundances[used], same[used])


def _between_recordings(
    heard: Sequence[tuple[Sides, Sides]], cuts: Sequence[Cut], homes: Mapping[str, str]
) -> tuple[list[Trials], list[Trials], float]:
    """The trials in each corpus, one side through the next channel: with nobody else enrolled, and
    with everybody; and the usual cosine of strangers.
    """
    owners = np.array([cut.speaker for cut in cuts])
    corpora = np.array([homes[owner] for owner in owners])
    next_channel = [*heard[1:], heard[0]]
    pairs = [
        (older.chosen(here), newer.chosen(here), owners[here])
        for (older, _), (_, newer) in zip(heard, next_channel, strict=True)
        for here in (corpora == corpus for corpus in np.unique(corpora))
    ]
    alone = [_trials(*pair) for pair in pairs]
    means = [trial.cosines[~trial.same].mean() for trial in alone if not trial.same.all()]
    usual = float(np.mean(means)) if means else 0.0
    return alone, [_trials(*pair, usual) for pair in pairs], usual


def _at_tables(
    heard: Sequence[tuple[Sides, Sides]], cuts: Sequence[Cut], homes: Mapping[str, str]
) -> dict[str, list[Trials]]:
    """By corpus, the trials at each table, through each channel: a few speakers of the corpus."""
    owners = np.array([cut.speaker for cut in cuts])
    random = np.random.default_rng(2)
    tables = defaultdict[str, list[Trials]](list)
    for older, newer in heard:
        for corpus in sorted(set(homes.values())):
            speakers = random.permutation(sorted({s for s in owners if homes[s] == corpus}))
            for first in range(0, len(speakers) - 1, TABLE):
                seated = np.isin(owners, speakers[first : first + TABLE])
                one, other = older.chosen(seated), newer.chosen(seated)
                trials = _trials(one, other, owners[seated])
                if not trials.same.all():
                    tables[corpus].append(trials)
    return tables


def _fit_across(conditions: Sequence[Trials]) -> Calibration:
    """The calibration of the trials of all conditions."""
    trials = Trials(*map(np.concatenate, zip(*conditions, strict=True)))
    cosines, norms, abundances, same = trials
    usual, slope, least, most = _norms(trials)
    noise = np.clip(norms - usual - slope * abundances, least, most)
    columns = [np.ones_like(cosines), abundances, cosines, cosines * abundances, cosines * noise]
    a, b, c, d, e = _logistic_regression(columns, same, _importance(trials))
    _check_rise(c + d * float(abundances.max()))
    return Calibration((a, b, c, d, e), (usual, slope, least, most), MAX_SECONDS, bend=0.0)


def _fit_within(corpora: Mapping[str, Sequence[Trials]]) -> tuple[Calibration, Resemblance]:
    """The calibration of trials at a usual table, and what is otherwise where voices are alike.

    What is usual: all corpora count alike, whatever tables they have.
    """
    tables = [table for corpus in corpora.values() for table in corpus]
    found = np.array([_resemblance(table) for table in tables])
    weights = np.concatenate([np.full(len(corpus), 1 / len(corpus)) for corpus in corpora.values()])
    mean = float(np.average(found, weights=weights))
    deviation = float(np.sqrt(np.average((found - mean) ** 2, weights=weights)))
    trials = Trials(*map(np.concatenate, zip(*tables, strict=True)))
    cosines, _, x, same = trials
    resemblance = np.repeat(found, [len(table.same) for table in tables])
    higher = resemblance - mean
    columns = [np.ones_like(x), x, likeness(cosines, 1.0), higher, higher * x]
    a, b, c, *shift = _logistic_regression(columns, same, _importance(trials))
    _check_rise(c)
    plain = np.stack(columns[:2], axis=1)
    alike = plain * resemblance[:, None]
    # The noise of one recording is in both sides: there, meetings were heard no better for norms.
    within = Calibration((a, b, c, 0.0, 0.0), _norms(trials), LONGEST_WITHIN, bend=1.0)
    return within, Resemblance(
        usual=(mean, deviation),
        strangers=_line(alike[~same], cosines[~same]),
        same=_line(plain[same], cosines[same]),
        shift=(shift[0], shift[1]),
    )


def _check_rise(slope: float) -> None:
    """See that odds rise with likeness, where there is much speech: `slope` is by how much.

    Raises:
        EarmarkError: they do not.
    """
    if slope <= 0.0:
        raise EarmarkError(
            "of the speakers held out, two that are more alike would less likely be one: the "
            "encoder does not tell them apart, or they are too few",
            "Train it for longer, or name more speakers in the lists",
        )


def _resemblance(table: Trials) -> float:
    """The mean cosine of strangers in trials with plenty of speech, or as much as there is."""
    cosines, x = table.cosines[~table.same], table.abundances[~table.same]
    return float(cosines[x >= min(PLENTY, float(x.max()))].mean())


def _line(columns: Floats, cosines: Floats) -> tuple[float, float, float]:
    """Two weights of least squares, and the deviation from them."""
    u, v = np.linalg.lstsq(columns, cosines, rcond=None)[0]
    return float(u), float(v), float(np.std(cosines - columns @ np.array([u, v])))


def _norms(trials: Trials) -> tuple[float, float, float, float]:
    """The norms that are usual, by abundance: offset and slope; the least and greatest excess."""
    slope, usual = (float(value) for value in np.polyfit(trials.abundances, trials.norms, 1))
    noise = trials.norms - usual - slope * trials.abundances
    least, most = (float(edge) for edge in np.quantile(noise, [RARE, 1.0 - RARE]))
    return usual, slope, least, most


def _importance(trials: Trials) -> Floats:
    """Weights that make both kinds of trials, and all lengths of speech, count alike."""
    edges = np.linspace(np.log(MIN_SECONDS), np.log(MAX_SECONDS), LENGTHS + 1)[1:-1]
    kinds = 2 * np.digitize(trials.abundances, edges) + trials.same
    importance = 1.0 / np.bincount(kinds, minlength=2 * LENGTHS)[kinds]
    weights: Floats = importance / importance.sum()
    return weights


def _logistic_regression(
    columns: Sequence[Floats], targets: Marks, importance: Floats
) -> list[float]:
    """Weights of least cross-entropy; the importance of all trials sums to one."""
    features = np.stack(columns, axis=1)
    sign = np.where(targets, 1.0, -1.0)

    def cost(weights: Floats) -> tuple[float, Floats]:
        margin = sign * (features @ weights)
        gradient = -(importance * sign / (1.0 + np.exp(margin))) @ features
        return float(importance @ np.logaddexp(0.0, -margin)), gradient

    start = np.zeros(features.shape[1])
    fitted = minimize(cost, start, jac=True, method="BFGS", options={"gtol": 1e-7})
    return [float(weight) for weight in fitted.x]
