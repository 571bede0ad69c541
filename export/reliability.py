"""How far answers can be relied on: calibration, false accepts, and speech needed, on speakers that
were never trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.progress import track
from scipy.optimize import isotonic_regression

from edge.encoder import Model
from edge.scoring import OperatingPoint, directions, match_all
from edge.verification import FIRST_LOOK, each_look
from export.calibrate import Sides, speech_records
from export.conditions import in_babble, over_telephone
from train.manifest import read_manifest
from train.metrics import cllr, min_cllr
from train.waveforms import SAMPLE_RATE, read_audio

LENGTHS = (1.0, 2.0, 4.0, 8.0)  # seconds of speech in the test
BABBLE_DB = 10.0
LONGEST = 10.0  # seconds of speech within which an answer is awaited
FALSE_ACCEPTS = (0.01, 0.001)

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
    """Answers of the sequential test: the seconds of speech that they took, of half and of 95 %.

    `kind` is whose speech was tested, the `speaker`'s or a `stranger`'s; `right`, `wrong` and
    `open_` are shares: answered so, or not yet after `LONGEST` seconds.
    """

    corpus: str
    kind: str
    trials: int
    right: float
    wrong: float
    open_: float
    median: float
    late: float


@dataclass(frozen=True)
class Reliability:
    """All that was measured; `llrs` and `targets` of every trial in `calibrated`."""

    calibrated: list[Calibrated]
    awaited: list[Awaited]
    llrs: Floats
    targets: Marks


def evaluate_reliability(corpus: Path, model: Model) -> Reliability:
    """All pairs of each development corpus: one side as it is, of the other the first seconds."""
    utterances = read_manifest(corpus / "dev.csv")
    calibrated, awaited, every = [], [], []
    for name in sorted({u.corpus for u in utterances}):
        chosen = [u for u in utterances if u.corpus == name]
        speakers = np.array([u.speaker for u in chosen])
        audios = [read_audio(u.path) for u in chosen]
        conditions = {
            "as it is": audios,
            "telephone": over_telephone(audios),
            f"babble {BABBLE_DB:g} dB": in_babble(audios, list(speakers), BABBLE_DB),
        }
        for condition, heard in conditions.items():
            bar = track(heard, description=f"answers, {name}, {condition}", transient=True)
            tests = [_growing(model, audio) for audio in bar]
            if heard is audios:  # the first: the other side of every trial
                whole = np.stack([test[-1] for test in tests])
                enrolled = Sides(model.embed(whole), model.seconds(whole))
                awaited += _await(model, name, speakers, enrolled, tests)
            for seconds in LENGTHS:
                llrs, targets = _trials(model, speakers, enrolled, tests, seconds)
                if targets.any() and not targets.all():
                    calibrated.append(_judge(name, condition, seconds, llrs, targets))
                    every.append((llrs, targets))
    llrs, targets = (np.concatenate(parts) for parts in zip(*every, strict=True))
    return Reliability(calibrated, awaited, llrs, targets)


def _growing(model: Model, audio: NDArray[np.float32]) -> Floats:
    """Statistics (n + 1, size) of the first 0, 1, ... n records of speech."""
    speech = speech_records(model, audio)
    sums: Floats = np.cumsum([np.zeros(model.statistics_size), *speech], axis=0)
    return sums


def _trials(
    model: Model, speakers: NDArray[np.str_], enrolled: Sides, tests: list[Floats], seconds: float
) -> tuple[Floats, Marks]:
    """Llrs of all pairs in which the test has so much speech, and which are of one speaker."""
    count = round(seconds * SAMPLE_RATE / model.record_samples)
    long = np.flatnonzero([len(test) > count for test in tests])
    if not len(long):
        return np.zeros(0), np.zeros(0, dtype=bool)
    llrs = _llrs(model, enrolled, np.stack([tests[i][count] for i in long]))
    heard = enrolled.seconds > 0
    used = heard[:, None] & (np.arange(len(heard))[:, None] != long[None])
    return llrs[used], (speakers[:, None] == speakers[long][None])[used]


def _llrs(model: Model, enrolled: Sides, tests: Floats) -> Floats:
    """Llrs (enrolled, tests) of all pairs with statistics."""
    match = match_all(directions(enrolled.embeddings), directions(model.embed(tests)))
    return model.across.llr(match, enrolled.seconds[:, None], model.seconds(tests)[None])


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


def _await(
    model: Model, corpus: str, speakers: NDArray[np.str_], enrolled: Sides, tests: list[Floats]
) -> list[Awaited]:
    """The sequential test at its default rates, a look at every tenth of a second of speech."""
    point = OperatingPoint()
    accept, refuse = each_look(point).accept_llr, each_look(point).refuse_llr
    first_look = round(FIRST_LOOK * SAMPLE_RATE / model.record_samples)
    most = round(LONGEST * SAMPLE_RATE / model.record_samples)
    answers: dict[bool, list[tuple[str, float]]] = {True: [], False: []}
    for j, test in enumerate(tests):
        looks = test[first_look : most + 1]
        if not len(looks):
            continue
        llrs = _llrs(model, enrolled, looks)
        for i in np.flatnonzero(enrolled.seconds > 0):
            if i == j:
                continue
            decided = (llrs[i] >= accept) | (llrs[i] <= refuse)
            first = int(np.argmax(decided))
            answer = each_look(point).answer(float(llrs[i, first])) if decided.any() else "not yet"
            if answer == "not yet" and len(test) <= most:
                continue  # the recording ended: nobody knows when the answer would have come
            answers[bool(speakers[i] == speakers[j])].append(
                (answer, float(model.seconds(looks[first])))
            )
    return [_summed(corpus, own, answers[own]) for own in (True, False) if answers[own]]


def _summed(corpus: str, own: bool, answers: list[tuple[str, float]]) -> Awaited:
    right, wrong = ("yes", "no") if own else ("no", "yes")
    given = [answer for answer, _ in answers]
    times = [seconds for answer, seconds in answers if answer == right] or [np.nan]
    median, late = (float(x) for x in np.quantile(times, [0.5, 0.95]))
    count = len(given)
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
