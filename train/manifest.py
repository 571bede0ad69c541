"""Lists of utterances: reading, checking, and the speaker-disjoint split of the training side."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from edge.errors import EarmarkError

COLUMNS = ("path", "speaker", "corpus", "seconds", "licence", "language", "source_rate")


@dataclass(frozen=True)
class Utterance:
    """One line of a manifest."""

    path: Path
    speaker: str  # empty where unknown
    corpus: str
    seconds: float


def read_utf8(path: Path) -> str:
    """The text of a list, as its lines end there; a byte order mark is no part of it.

    Raises:
        EarmarkError: it is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EarmarkError(f"{path} is not UTF-8 text: {error}", "Save it as UTF-8") from error


def read_manifest(csv_path: Path) -> list[Utterance]:
    """Read a manifest (CSV with a header); paths are relative to the manifest's folder."""
    if not csv_path.is_file():
        raise EarmarkError(
            f"no manifest at {csv_path}", "Give the folder of the corpus with --corpus FOLDER"
        )
    reader = csv.DictReader(io.StringIO(read_utf8(csv_path), newline=""), strict=True)
    begun = 1  # the line that a row begins on
    try:
        _check_columns(csv_path, reader.fieldnames)
        utterances = []
        begun = reader.line_num + 1
        for line in reader:
            utterances.append(_utterance(line, csv_path.parent.resolve()))
            begun = reader.line_num + 1
    except ValueError as error:
        raise EarmarkError(
            f"{csv_path}, line {reader.line_num}: {error}", "Correct the line"
        ) from error
    except csv.Error as error:
        raise EarmarkError(
            f"{csv_path}, line {begun}: {error}", "Look for a quotation mark without its pair"
        ) from error
    return utterances


def _check_columns(csv_path: Path, names: Sequence[str] | None) -> None:
    missing = set(COLUMNS) - set(names or ())
    if missing:
        raise EarmarkError(
            f"{csv_path} lacks the columns {', '.join(sorted(missing))}",
            f"A manifest has the columns {', '.join(COLUMNS)}",
        )


def _utterance(line: dict[str, str], folder: Path) -> Utterance:
    absent = [column for column in COLUMNS if line[column] is None]  # of a line too short
    if absent:
        raise ValueError(f"there is no {', no '.join(absent)}")
    if not line["path"]:
        raise ValueError("the path is empty")
    seconds, source_rate = float(line["seconds"]), int(line["source_rate"])
    if not (0.0 < seconds < math.inf and source_rate > 0):
        raise ValueError(
            f"seconds and source_rate must be positive, got {seconds} and {source_rate}"
        )
    return Utterance(folder / line["path"], line["speaker"], line["corpus"], seconds)


def is_held_out(speaker: str, fraction: float = 0.15) -> bool:
    """Whether a training-side speaker is kept for validation and calibration; by name."""
    return speaker != "" and crc32(speaker.encode()) / 2**32 < fraction


def split_speakers(utterances: list[Utterance]) -> tuple[list[Utterance], list[Utterance]]:
    """Training utterances, and those of speakers held out for validation and calibration."""
    train = [u for u in utterances if not is_held_out(u.speaker)]
    held_out = [u for u in utterances if is_held_out(u.speaker)]
    check_disjoint(train, held_out)
    return train, held_out


def check_disjoint(first: list[Utterance], second: list[Utterance]) -> None:
    """Raise if a labelled speaker stands in both lists."""
    common = ({u.speaker for u in first} & {u.speaker for u in second}) - {""}
    if common:
        raise EarmarkError(
            f"{len(common)} speakers stand in both splits, for example {min(common)}",
            "Splits must be speaker-disjoint: correct the manifests",
        )
