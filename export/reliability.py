"""How far answers can be relied on: calibration, false accepts, and speech needed, on speakers that
were never trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.progress import track
from scipy.optimize import isotonic_regression

from edge.encoder import Model
from edge.front_end import SAMPLE_RATE
from edge.recalibration import fit
from edge.scoring import FIRST_LOOK, Answer, OperatingPoint
from export.conditions import in_babble, over_telephone
from export.sides import Sides, all_llrs, sides_of, speech_records
from train.manifest import read_manifest
from train.metrics import cllr, min_cllr
from train.waveforms import read_audio

LENGTHS = (1.0, 2.0, 4.0, 8.0)  # seconds of speech in the test
BABBLE_DB = 10.0
LONGEST = 10.0  # seconds of speech within which an answer is awaited
FALSE_ACCEPTS = (0.01, 0.001)
AS_IT_IS = "as it is"
ALONE = f"{AS_IT_IS}, nobody else enrolled"
OWN_ODDS = f"{AS_IT_IS}, own odds"

Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]


@dataclass(frozen=True)
class Calibrated:
    """The llrs of one length of test speech, in one corpus as it is heard.

    `cost` and `least` are Cllr and minCllr, bits. `accepted` is the share of strangers above the
    threshold of each of `FALSE_ACCEPTS`, and `missed` the share of speakers below it.
    """

    corpus: str
    condition: str
    seconds: float
    targets: int
    strangers: int
    cost: float
    least: float
    accepted: tuple[float, ...]
    missed: tuple[float, ...]


@dataclass(frozen=True)
class Awaited:
    """Answers of the sequential test.

    `kind` is whose speech was tested, the `speaker`'s or a `stranger`'s; `right`, `wrong` and
    `open_` are shares of all trials: answered so, or not yet after `LONGEST` seconds. After
    `median` and `late` seconds of speech half and 95 % of all have the right answer; None: never.
    """

    corpus: str
    kind: str
    trials: int
    right: float
    wrong: float
    open_: float
    median: float | None
    late: float | None


@dataclass(frozen=True)
class Reliability:
    """All that was measured; `llrs` and `targets` of every trial in `calibrated`."""

    calibrated: list[Calibrated]
    awaited: list[Awaited]
    llrs: Floats
    targets: Marks


class Heard(NamedTuple):
    """The recordings of a corpus under one condition.

    `enrolled`: what each is as it is, whatever the condition. `tests`: see `_growing`.
    """

    speakers: NDArray[np.str_]
    enrolled: Sides
    tests: list[Floats]


def evaluate_reliability(corpus: Path, model: Model) -> Reliability:
    """All pairs of each development corpus: one side as it is, of the other the first seconds.

    Everybody else of the corpus is enrolled beside the two of a pair. What is heard as it is, is
    judged once more with nobody else enrolled; and within each half of the speakers, by odds that
    `earmark calibrate` would learn of the other half.
    """
    utterances = read_manifest(corpus / "dev.csv")
    calibrated, awaited, every = [], [], []
    for name in sorted({u.corpus for u in utterances}):
        chosen = [u for u in utterances if u.corpus == name]
        speakers = np.array([u.speaker for u in chosen])
        everybody = np.ones(len(speakers), dtype=bool)
        audios = [read_audio(u.path) for u in chosen]
        conditions = {
            AS_IT_IS: audios,
            "telephone": over_telephone(audios),
            f"babble {BABBLE_DB:g} dB": in_babble(audios, list(speakers), BABBLE_DB),
        }
        for condition, altered in conditions.items():
            bar = track(altered, description=f"answers, {name}, {condition}", transient=True)
            tests = [_growing(model, audio) for audio in bar]
            if condition == AS_IT_IS:  # the first: the other side of every trial
                whole = np.stack([test[-1] for test in tests])
                enrolled = sides_of(model, whole)
            heard = Heard(speakers, enrolled, tests)
            rows = [(s, *_trials(model, heard, s, everybody)) for s in LENGTHS]
            rows = [row for row in rows if _both_kinds(row[2])]
            calibrated += [_judge(name, condition, *row) for row in rows]
            every += [row[1:] for row in rows]
            if condition == AS_IT_IS:
                awaited += _await(model, name, heard)
                alone = [(s, *_trials(model, heard, s, everybody, beside=False)) for s in LENGTHS]
                calibrated += [_judge(name, ALONE, *row) for row in alone if _both_kinds(row[2])]
                rows = [row for row in _by_own_odds(model, heard) if _both_kinds(row[2])]
                calibrated += [_judge(name, OWN_ODDS, *row) for row in rows]
    llrs, targets = (np.concatenate(parts) for parts in zip(*every, strict=True))
    return Reliability(calibrated, awaited, llrs, targets)


def _growing(model: Model, audio: NDArray[np.float32]) -> Floats:
    """Statistics (n + 1, size) of the first 0, 1, ... n records of speech."""
    speech = speech_records(model, audio)
    sums: Floats = np.cumsum([np.zeros(model.statistics_size), *speech], axis=0)
    return sums


def _trials(
    model: Model, heard: Heard, seconds: float, among: Marks, *, beside: bool = True
) -> tuple[Floats, Marks]:
    """Llrs of all pairs in which the test has so much speech, and which are of one speaker.

    `among`: the recordings that are looked at. `beside`: whether their other speakers are enrolled.
    """
    speakers, enrolled, tests = heard
    count = round(seconds * SAMPLE_RATE / model.record_samples)
    long = np.flatnonzero([len(test) > count for test in tests] & among)
    told = np.flatnonzero((enrolled.seconds > 0) & among)
    if not len(long):
        return np.zeros(0), np.zeros(0, dtype=bool)
    tested = sides_of(model, np.stack([tests[i][count] for i in long]))
    known = enrolled.chosen(told)
    names = speakers[long], speakers[told]
    llrs = all_llrs(model, tested, known, names if beside else None)
    used = long[:, None] != told[None]
    return llrs[used], (names[0][:, None] == names[1][None])[used]


def _both_kinds(targets: Marks) -> bool:
    return bool(targets.any() and not targets.all())


def _by_own_odds(model: Model, heard: Heard) -> list[tuple[float, Floats, Marks]]:
    """By length of the test, all pairs within each half of the speakers, scored by odds that were
    learnt of the other half.
    """
    names = sorted(set(heard.speakers))
    halves = [names[::2], names[1::2]]
    trials = [
        [_trials(model, heard, seconds, np.isin(heard.speakers, half)) for seconds in LENGTHS]
        for half in halves
    ]
    learnt = [_learnt(own, len(half)) for own, half in zip(trials, halves, strict=True)]
    rows = []
    for place, seconds in enumerate(LENGTHS):
        llrs = [
            offset + slope * own[place][0]
            for own, (offset, slope) in zip(trials, reversed(learnt), strict=True)
        ]
        targets = [own[place][1] for own in trials]
        rows.append((seconds, np.concatenate(llrs), np.concatenate(targets)))
    return rows


def _learnt(trials: list[tuple[Floats, Marks]], speakers: int) -> tuple[float, float]:
    """Offset and slope, as `earmark calibrate` learns them of trials by length."""
    llrs, targets = (np.concatenate(parts) for parts in zip(*trials, strict=True))
    lengths = np.repeat(np.arange(len(trials)), [len(own) for own, _ in trials])
    return fit(llrs, targets, lengths, speakers)


def _judge(corpus: str, condition: str, seconds: float, llrs: Floats, targets: Marks) -> Calibrated:
    bounds = [OperatingPoint(rate).accept_llr for rate in FALSE_ACCEPTS]
    return Calibrated(
        corpus=corpus,
        condition=condition,
        seconds=seconds,
        targets=int(targets.sum()),
        strangers=int((~targets).sum()),
        cost=cllr(llrs, targets),
        least=min_cllr(llrs, targets),
        accepted=tuple(float((llrs[~targets] >= bound).mean()) for bound in bounds),
        missed=tuple(float((llrs[targets] < bound).mean()) for bound in bounds),
    )


def _await(model: Model, corpus: str, heard: Heard) -> list[Awaited]:
    """The sequential test at its default rates, a look at every tenth of a second of speech.

    A recording may end before there is an answer; who speaks then goes on with their others, but
    for the enrolled one.
    """
    speakers, enrolled, tests = heard
    told = np.flatnonzero(enrolled.seconds > 0)
    known = enrolled.chosen(told)
    most = round(LONGEST * SAMPLE_RATE / model.record_samples)
    answers: dict[bool, list[tuple[Answer, float]]] = {True: [], False: []}
    for j, speaker in enumerate(speakers):
        mine = np.flatnonzero(speakers == speaker)
        order = np.roll(mine, -int(np.flatnonzero(mine == j)[0]))
        others = (False, speakers[told] != speaker, order)
        claims = [(True, told == i, order[order != i]) for i in np.intersect1d(told, order[1:])]
        for own, claimed, heard_in in [others, *claims]:
            sums = _one_after_another([tests[i] for i in heard_in], most)
            if len(sums) < 2:  # no speech at all
                continue
            looks = sides_of(model, sums[1:])
            names = np.repeat(speaker, len(looks.seconds)), speakers[told]
            llrs = all_llrs(model, looks, known, names)[:, claimed]
            ended = len(sums) <= most
            answers[own] += [first_of_looks(said, looks.seconds, ended=ended) for said in llrs.T]
    return [_summed(corpus, own, answers[own]) for own in (True, False) if answers[own]]


def _one_after_another(tests: Sequence[Floats], most: int) -> Floats:
    """Statistics (n + 1, size) of the first 0, 1, ... n records of recordings, `most` at most."""
    sums = tests[0]
    for test in tests[1:]:
        if len(sums) > most:
            break
        sums = np.concatenate([sums, sums[-1] + test[1:]])
    return sums[: most + 1]


def first_of_looks(llrs: Floats, seconds: Floats, *, ended: bool) -> tuple[Answer, float]:
    """What the sequential test answers to speech of so many seconds at each look, and after how
    many; where the speech `ended` without an answer, what all of it says (see `first_answer`).
    """
    point = OperatingPoint()
    each = point.each_look
    decided = (llrs >= each.accept_llr) | (llrs <= each.refuse_llr)
    (places,) = np.nonzero(decided & (seconds >= FIRST_LOOK))
    if len(places):
        return each.answer(float(llrs[places[0]])), float(seconds[places[0]])
    return point.answer(float(llrs[-1])) if ended else "not yet", float(seconds[-1])


def _summed(corpus: str, own: bool, answers: list[tuple[Answer, float]]) -> Awaited:
    right: Answer = "yes" if own else "no"
    wrong: Answer = "no" if own else "yes"
    given = [answer for answer, _ in answers]
    times = np.sort([seconds for answer, seconds in answers if answer == right])
    count = len(given)
    median, late = (
        float(times[place]) if (place := math.ceil(share * count) - 1) < len(times) else None
        for share in (0.5, 0.95)
    )
    return Awaited(
        corpus=corpus,
        kind="speaker" if own else "stranger",
        trials=count,
        right=given.count(right) / count,
        wrong=given.count(wrong) / count,
        open_=given.count("not yet") / count,
        median=median,
        late=late,
    )


def plot_reliability(measured: Reliability, path: Path) -> None:
    """Draw what the llrs say against what they should have said, by isotonic regression.

    Both kinds of trials weigh alike; on the diagonal the odds are right.
    """
    order = np.argsort(measured.llrs, kind="stable")
    llrs, targets = measured.llrs[order], measured.targets[order]
    weights = np.where(targets, 0.5 / targets.sum(), 0.5 / (~targets).sum())
    shares = isotonic_regression(targets.astype(float), weights=weights).x
    inside = (shares > 0.0) & (shares < 1.0)
    figure = Figure(figsize=(5, 5), layout="constrained")
    axis = figure.subplots()
    axis.plot(llrs[inside], np.log(shares[inside] / (1.0 - shares[inside])))
    axis.axline((0, 0), slope=1, color="0.8", linewidth=0.8)
    axis.set(xlabel="llr given, nats", ylabel="llr that would have been right, nats")
    axis.set_title(f"{targets.sum()} trials of speakers, {(~targets).sum()} of strangers")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
