"""NIST Rich Transcription Time Marked files: one line a speaker turn."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge.errors import EarmarkError
from edge.printable import printable


@dataclass(frozen=True, order=True)
class Turn:
    """One speaker's stretch of speech, in seconds from the start of the recording."""

    start: float
    end: float
    speaker: str


def format_rttm(turns: Iterable[Turn], recording: str) -> str:
    """RTTM text of the turns, in order of their start. Blanks in names become underscores.

    What is not UTF-8 in them, as file names may be, is escaped; what else cannot be printed is '?'.
    """
    lines = [
        f"SPEAKER {token(recording)} 1 {turn.start:.3f} {turn.end - turn.start:.3f} "
        f"<NA> <NA> {token(turn.speaker)} <NA> <NA>\n"
        for turn in sorted(turns)
    ]
    return "".join(lines)


def read_rttm(path: Path, recording: str | None = None) -> list[Turn]:
    """The turns of an RTTM file; lines of other types than SPEAKER are passed over.

    `recording`: whose turns are wanted, where there are those of several.

    Raises:
        EarmarkError: the file cannot be read, a SPEAKER line is malformed, or there are several
            recordings and the wanted one is not among them.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EarmarkError(
            f"cannot read the RTTM file {path}: {error}", "Check the path"
        ) from error
    turns: dict[str, list[Turn]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        try:
            start, duration, speaker = float(fields[3]), float(fields[4]), fields[7]
            if not (math.isfinite(start + duration) and duration >= 0):
                raise ValueError("no stretch of time")
        except (IndexError, ValueError) as error:
            raise EarmarkError(
                f"{path}, line {number}: a SPEAKER line needs start, duration, name; got '{line}'",
                "Correct the line",
            ) from error
        turns.setdefault(fields[1], []).append(Turn(start, start + duration, speaker))
    if recording is None or len(turns) < 2:
        return sorted(turn for each in turns.values() for turn in each)
    if token(recording) not in turns:
        raise EarmarkError(
            f"{path} holds the turns of {len(turns)} recordings, and none is {token(recording)}",
            "Give a file of that recording alone",
        )
    return sorted(turns[token(recording)])


def token(text: str) -> str:
    """A name as it stands in a line."""
    whole = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return printable("_".join(whole.split())) or "_"
