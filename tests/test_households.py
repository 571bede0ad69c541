"""Risk: names that were told wrongly, or to a guest, are counted as right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tiny_corpus import build_corpus
from voices import model

from edge.rttm import Turn
from export.hearing import Hearing
from export.households import ENROLLED, _counts, _naming, _parted, enrol, evaluate_households
from export.tables import naming_table
from train.manifest import Utterance, is_held_out, read_manifest
from train.simulate import simulate_meeting


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[Utterance]]:
    """The bundled conversation's voices, with less speech than is asked for otherwise."""
    monkeypatch.setattr("export.households.VOICES", 4)
    monkeypatch.setattr("export.households.MINUTES", 0.5)
    monkeypatch.setattr("train.simulate.LEAST_SPEECH", 2.0)
    folder = build_corpus(tmp_path / "corpus")
    return folder, [u for u in read_manifest(folder / "train.csv") if is_held_out(u.speaker)]


def test_nobody_is_enrolled_by_what_they_say_later(corpus: tuple[Path, list[Utterance]]) -> None:
    folder, voices = corpus
    longest, others = _parted(voices)
    assert not {u.path for u in others} & set(longest.values())
    assert len(others) + len(longest) == len(voices)
    for utterance in voices:
        own = next(u for u in voices if u.path == longest[utterance.speaker])
        assert own.seconds >= utterance.seconds
    meeting = simulate_meeting(others, folder, 4, 30.0, 1, overlap=True)
    profiles = enrol(model(), meeting, longest)
    assert [profile.name for profile in profiles] == list(meeting.cast)
    for profile in profiles:
        assert 4.0 < float(model().seconds(profile.statistics)) < 10.0
    again = enrol(model(), meeting, longest)
    for one, other in zip(profiles, again, strict=True):
        np.testing.assert_array_equal(one.statistics, other.statistics)


def test_each_number_of_enrolled_is_told(corpus: tuple[Path, list[Utterance]]) -> None:
    folder, voices = corpus
    rows = evaluate_households(voices, folder, model(), 1)
    assert [(row.enrolled, row.when) for row in rows] == [
        (number, when) for number in ENROLLED for when in ("at once", "final")
    ]
    for row in rows:
        assert 0.0 <= row.own + row.others <= 100.0
    assert rows[1].others == 0.0, "only one has a name"
    console = Console(width=120, record=True)
    console.print(naming_table(rows))
    assert "guests by a name" in console.export_text()


def test_every_tenth_of_a_second_counts_for_what_it_was_told_to_be() -> None:
    """Ada for four seconds, as two at once, as ben and as ada; ben as nobody; a guest as ada."""
    truth = [Turn(0.0, 4.0, "ada"), Turn(0.0, 1.0, "guest"), Turn(4.0, 6.0, "ben")]
    truth.append(Turn(6.0, 9.0, "guest"))
    told = [Turn(0.0, 2.0, "ben"), Turn(2.0, 4.0, "ada"), Turn(4.0, 6.0, "speaker1")]
    told.append(Turn(6.0, 7.0, "ada"))
    nothing = np.zeros(0)
    hearing = Hearing("x", 9.0, truth, [], told, nothing, nothing)
    assert _counts(["ada", "ben"], hearing, "final") == [50, 20, 10, 30, 10]
    assert _counts(["ada", "ben"], hearing, "at once") == [50, 0, 0, 30, 0]
    row = _naming(2, "final", [(["ada", "ben"], hearing)])
    assert (row.own, row.others) == (40.0, 20.0)
    assert row.guests == pytest.approx(100 / 3)
