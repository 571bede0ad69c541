"""Risk: the report says that enrolment refuses what it takes, or for other reasons."""

from __future__ import annotations

import pytest
import soundfile
from voices import ENROLMENT, RATE, TRUTH, conversation, model

from edge.audio import read_audio
from edge.rttm import read_rttm
from export.refusals import WAYS, Refusals, evaluate_refusals

HEADER = "path,speaker,corpus,seconds,licence,language,source_rate"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Refusals]:
    """Of two voices of the bundled conversation."""
    folder = tmp_path_factory.mktemp("corpus")
    turns = read_rttm(TRUTH)
    names = sorted({turn.speaker for turn in turns})
    recordings = {"ada": read_audio(ENROLMENT)}
    other = next(name for name in names if name != "ada")
    longest = max((t for t in turns if t.speaker == other), key=lambda t: t.end - t.start)
    recordings[other] = conversation()[int(longest.start * RATE) : int(longest.end * RATE)]
    lines = [HEADER]
    for name, audio in recordings.items():
        soundfile.write(folder / f"{name}.flac", audio, RATE)
        lines.append(f"{name}.flac,{name},own,9.0,none,en,16000")
    (folder / "dev.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {row.spoilt: row for row in evaluate_refusals(folder, model())}


def test_every_way_is_reported(rows: dict[str, Refusals]) -> None:
    assert list(rows) == list(WAYS)
    assert {row.recordings for row in rows.values()} == {2}


def test_good_recordings_pass_and_clipped_ones_do_not(rows: dict[str, Refusals]) -> None:
    assert rows["as recorded"].refused == 0.0
    assert rows["as recorded"].reasons == []
    overdriven = rows["overdriven by 12 dB"]
    assert overdriven.refused == 100.0
    assert overdriven.reasons[0] == "clipped part of the speech"


def test_two_persons_are_found_out(rows: dict[str, Refusals]) -> None:
    followed = rows["another person for 25 to 50 % of it"]
    assert "second voice's part of the speech" in followed.reasons
