"""Risk: answers are called reliable by figures that would have looked the same for bad ones."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tiny_corpus import build_corpus
from voices import ENROLMENT, model

from edge.audio import read_audio
from edge.gate import GateConfig
from edge.records import all_records
from edge.scoring import OperatingPoint
from edge.statistics import Sums
from edge.verification import Verification, first_answer
from export.conditions import over_telephone
from export.reliability import (
    ALONE,
    LENGTHS,
    OWN_ODDS,
    Reliability,
    _judge,
    _learnt,
    _summed,
    evaluate_reliability,
    first_of_looks,
    plot_reliability,
)
from export.tables import answers_table, calibration_table
from train.manifest import read_manifest

RATE = 16_000


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Reliability:
    """The bundled conversation's four voices, some of them retuned: twelve speakers."""
    corpus = build_corpus(tmp_path_factory.mktemp("dev") / "corpus")
    shutil.copy(corpus / "train.csv", corpus / "dev.csv")
    return evaluate_reliability(corpus, model())


def test_every_length_and_condition_is_measured(measured: Reliability) -> None:
    found = {(row.condition, row.seconds) for row in measured.calibrated}
    conditions = {"as it is", ALONE, OWN_ODDS, "telephone", "babble 10 dB"}
    assert {condition for condition, _ in found} == conditions
    assert {seconds for condition, seconds in found if condition == "as it is"} <= set(LENGTHS)
    assert ("as it is", 1.0) in found
    for row in measured.calibrated:
        assert row.least <= row.cost
        assert row.targets > 0 < row.strangers
    own = [row for row in measured.calibrated if row.condition not in (ALONE, OWN_ODDS)]
    assert len(measured.llrs) == sum(row.targets + row.strangers for row in own)


def test_the_tables_and_the_picture_show_it(measured: Reliability, tmp_path: Path) -> None:
    console = Console(width=200, record=True)
    console.print(calibration_table(measured.calibrated), answers_table(measured.awaited))
    text = console.export_text()
    assert "minCllr" in text
    assert "stranger" in text
    plot_reliability(measured, tmp_path / "new" / "reliability.png")
    assert (tmp_path / "new" / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_right_odds_keep_the_rates_and_wrong_ones_show() -> None:
    """Scores whose likelihood ratio is known: normal, one standard deviation, 5 nats apart."""
    random = np.random.default_rng(0)
    targets = np.arange(200_000) < 100_000
    llrs = random.normal(np.where(targets, 5.0, -5.0), np.sqrt(10.0))
    right = _judge("x", "y", 1.0, llrs, targets)
    assert right.cost == pytest.approx(right.least, rel=0.02)
    assert right.accepted[0] < 0.01
    assert right.accepted[1] == pytest.approx(0.001, rel=0.3)  # where it is the hardest to keep
    bold = _judge("x", "y", 1.0, 3.0 * llrs + 4.0, targets)
    assert bold.cost > 1.3 * right.cost
    assert bold.least == pytest.approx(right.least)
    assert bold.accepted[0] > right.accepted[0]


def test_own_odds_undo_what_is_wrong_with_the_models() -> None:
    random = np.random.default_rng(0)
    trials = []
    for distance, count in ((2.0, 4_000), (5.0, 9_000)):  # short and long speech
        targets = np.arange(count) < count // 2
        llrs = random.normal(np.where(targets, distance, -distance), np.sqrt(2.0 * distance))
        trials.append((2.0 * llrs + 3.0, targets))
    offset, slope = _learnt(trials, speakers=1_000)
    assert (offset, slope) == (pytest.approx(-1.5, abs=0.2), pytest.approx(0.5, abs=0.05))


def test_shares_and_times_are_of_the_right_answers() -> None:
    own = _summed("x", True, [("yes", 3.0), ("yes", 1.0), ("no", 9.0), ("not yet", 10.0)])
    assert (own.right, own.wrong, own.open_) == (0.5, 0.25, 0.25)
    assert (own.median, own.late) == (3.0, None)
    stranger = _summed("x", False, [("no", 2.0), ("yes", 1.0), ("no", 1.0), ("no", 4.0)])
    assert (stranger.right, stranger.wrong, stranger.median) == (0.75, 0.25, 2.0)


def test_no_trial_is_left_out_for_how_it_ended(measured: Reliability, tmp_path: Path) -> None:
    """A recording that ended undecided was no trial once, and a yes was nearly certain."""
    corpus = build_corpus(tmp_path / "corpus")
    counts = Counter(u.speaker for u in read_manifest(corpus / "train.csv"))
    every = counts.total()
    assert {row.kind: row.trials for row in measured.awaited} == {
        "speaker": sum(n * (n - 1) for n in counts.values()),
        "stranger": sum(n * (every - n) for n in counts.values()),
    }
    for row in measured.awaited:
        assert row.right + row.wrong + row.open_ == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(20))
def test_an_answer_is_that_of_the_sequential_test(seed: int) -> None:
    records = [r for r in all_records(model(), GateConfig(), read_audio(ENROLMENT)) if r.evidence]
    heard = np.cumsum([record.statistics for record in records], axis=0)
    seconds = model().seconds(heard)
    llrs = np.cumsum(np.random.default_rng(seed).normal(0.0, 0.7, len(records)))

    def compare(sums: Sums, point: OperatingPoint) -> Verification:
        look = int(np.flatnonzero(heard[:, 0] == sums[0])[0])
        llr = float(llrs[look])
        return Verification("ada", point.answer(llr), llr, float(seconds[look]), point)

    right = first_answer(model(), records, compare, OperatingPoint())
    assert first_of_looks(llrs, seconds, ended=True) == (right.answer, right.seconds)


def test_a_telephone_passes_its_band_alone() -> None:
    time = np.arange(RATE) / RATE
    for hertz, passed in ((100.0, False), (1000.0, True), (5000.0, False)):
        tone = np.sin(2 * np.pi * hertz * time).astype(np.float32)
        (heard,) = over_telephone([tone])
        assert (np.sqrt(np.mean(heard**2)) > 0.3) == passed
