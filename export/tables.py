"""What `make eval` measured, as tables for people."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from export.detection import DetectionRow
from export.diarization import COLLAR, Diarization, Rates
from export.households import VOICES, Naming
from export.refusals import Refusals
from export.reliability import FALSE_ACCEPTS, LONGEST, Awaited, Calibrated
from export.rivals import Cost

PAGE_WIDTH = 170  # of the tables where no terminal says how wide it is


def page() -> Console:
    """Where tables are printed."""
    return Console(width=None if sys.stdout.isatty() else PAGE_WIDTH)


@dataclass(frozen=True)
class Verification:
    """One row of the verification table; rates in percent."""

    corpus: str
    crop: str
    form: str
    eer: float
    min_dcf: float


def verification_table(rows: Sequence[Verification]) -> Table:
    """Corpora and crops down, forms of the encoder and rivals across."""
    table = Table("corpus", "crop", title="Verification: EER % (minDCF at 0.01), all pairs")
    forms = list(dict.fromkeys(row.form for row in rows))
    for form in forms:
        table.add_column(form, justify="right")
    for corpus, crop in dict.fromkeys((row.corpus, row.crop) for row in rows):
        cells = {r.form: r for r in rows if (r.corpus, r.crop) == (corpus, crop)}
        figures = [f"{cells[form].eer:5.2f} ({cells[form].min_dcf:.3f})" for form in forms]
        table.add_row(corpus, crop, *figures)
    return table


def calibration_table(rows: Sequence[Calibrated]) -> Table:
    """Corpora, conditions and lengths of speech down."""
    table = Table("corpus", "condition", "speech", title="Answers: are their odds right?")
    headings = ["trials of speakers, strangers", "Cllr", "minCllr", "gap"]
    headings += [f"strangers accepted at {100 * rate:g} % (missed)" for rate in FALSE_ACCEPTS]
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        gap = (row.cost - row.least) / row.least if row.least else 0.0
        rates = [
            f"{100 * accepted:.2f} % ({100 * missed:.0f} %)"
            for accepted, missed in zip(row.accepted, row.missed, strict=True)
        ]
        table.add_row(
            row.corpus,
            row.condition,
            f"{row.seconds:g} s",
            f"{row.targets}, {row.strangers}",
            f"{row.cost:.3f}",
            f"{row.least:.3f}",
            f"{100 * gap:.0f} %",
            *rates,
        )
    return table


def answers_table(rows: Sequence[Awaited]) -> Table:
    """Corpora down, speakers and strangers."""
    title = f"Answers of the sequential test, looked for within {LONGEST:g} s of speech"
    table = Table("corpus", "who speaks", title=title)
    for heading in ("trials", "right", "wrong", "not yet", "half have it after", "95 %"):
        table.add_column(heading, justify="right")
    for row in rows:
        shares = [f"{100 * share:.1f} %" for share in (row.right, row.wrong, row.open_)]
        times = [f"{t:.1f} s" if t is not None else "never" for t in (row.median, row.late)]
        table.add_row(row.corpus, row.kind, str(row.trials), *shares, *times)
    return table


def cost_table(costs: Sequence[Cost], seconds: float) -> Table:
    """An encoder a row."""
    table = Table("encoder", title=f"Cost, on {seconds:g} s of audio, one thread")
    for heading in ("parameters", "MB on disk", "CPU ms per second of audio"):
        table.add_column(heading, justify="right")
    for cost in costs:
        figures = (f"{cost.parameters:,}", f"{cost.megabytes:.1f}", f"{cost.cpu_ms:.2f}")
        table.add_row(cost.name, *figures)
    return table


def detection_table(rows: Sequence[DetectionRow]) -> Table:
    """A detector a row."""
    table = Table("found", "in", "by", title="Detection, every 0.1 s")
    for heading in ("ROC-AUC", "average precision", "share of targets"):
        table.add_column(heading, justify="right")
    for row in rows:
        figures = [f"{value:.3f}" for value in (row.auc, row.precision, row.share)]
        table.add_row(row.what, row.where, row.detector, *figures)
    return table


def naming_table(rows: Sequence[Naming]) -> Table:
    """A number of those enrolled a row."""
    table = Table("enrolled", title=f"Names in households of {VOICES} voices: % of their speech")
    for heading in ("labels", "own name", "another's", "guests by a name"):
        table.add_column(heading, justify="right")
    for row in rows:
        rates = [f"{rate:.1f}" for rate in (row.own, row.others, row.guests)]
        table.add_row(str(row.enrolled), row.when, *rates)
    return table


def refusals_table(rows: Sequence[Refusals]) -> Table:
    """A way to spoil recordings a row."""
    table = Table("recording", title="What enrolment refuses")
    for heading in ("recordings", "refused %"):
        table.add_column(heading, justify="right")
    table.add_column("for, commonest first")
    for row in rows:
        reasons = ", ".join(row.reasons[:3])
        table.add_row(row.spoilt, str(row.recordings), f"{row.refused:.1f}", reasons)
    return table


def diarization_table(what: str, rows: Sequence[Diarization]) -> Table:
    """A recording a row, all together last."""
    title = f"Diarization of {what}: DER = miss + false alarm + confusion, % of speech"
    table = Table("recording", title=title)
    for heading in (
        "collar 0, overlap scored",
        f"collar {COLLAR:g} s",
        "confusion, no overlap",
        "JER",
        "speakers heard / true",
        "wrong flips a minute",
        "latency s, 95 %",
    ):
        table.add_column(heading, justify="right")
    for column in table.columns[:3]:
        column.no_wrap = True
    for row in rows:
        count = f"{100 * row.counted:.0f} % within 1"
        if row.speakers_truth:
            count = f"{row.speakers} / {row.speakers_truth}"
        median, worst = row.latency
        table.add_row(
            row.recording,
            _sum(row.exact),
            _sum(row.with_collar),
            f"{row.alone.confusion:.1f}",
            f"{row.jer:.1f}",
            count,
            f"{row.flips:.1f}",
            f"{median:.1f}, {worst:.1f}" if np.isfinite(worst) else "",
        )
    return table


def _sum(rates: Rates) -> str:
    parts = "+".join(f"{part:.1f}" for part in (rates.miss, rates.false_alarm, rates.confusion))
    return f"{rates.der:.1f} = {parts}"
