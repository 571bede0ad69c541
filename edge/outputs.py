"""Where `earmark diarize` writes what it found: files, one file a recording, or standard output."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import EarmarkError
from edge.picture import draw_turns
from edge.rttm import Turn, format_rttm, token
from edge.srt import format_srt
from edge.whole_file import check_writable, spare, write_whole

if TYPE_CHECKING:
    from edge.diarization import Diarization

KINDS = {
    "rttm": "RTTM, the usual form",
    "srt": "subtitles that name the speaker",
    "json": "JSON, one line a recording",
    "plot": "a picture, as SVG",
}
ONE_EACH = ("srt", "plot")  # a file of these holds one recording
STANDARD_OUTPUT = "-"


class Outputs:
    """The outputs that were asked for, each by its kind. Nothing is ever half written.

    Args:
        targets: a file, a folder that is there, or '-', by kind.
        paths: the recordings.
        truth: the right turns for pictures, by recording.

    Raises:
        EarmarkError: what could not be written in the end, before the work; or two outputs would be
            one file.
    """

    def __init__(
        self,
        targets: Mapping[str, str],
        paths: Sequence[Path],
        truth: Mapping[Path, Sequence[Turn]],
    ) -> None:
        self._targets = targets
        self._truth = truth
        if targets:
            _check_distinct(paths)
        for kind, target in targets.items():
            if kind == "plot" and Path(target).suffix.lower() not in ("", ".svg"):
                raise EarmarkError(
                    f"cannot draw {target}: a picture is SVG, which every browser shows",
                    "Give a name that ends in .svg",
                )
            _check_writable(target, one_file=kind not in ONE_EACH or len(paths) == 1)
        self._shared = {
            kind: ""
            for kind, target in targets.items()
            if target != STANDARD_OUTPUT and not Path(target).is_dir()
        }
        self._files = Counter(
            file
            for kind, target in targets.items()
            if target != STANDARD_OUTPUT
            for file in {self._file(kind, path).resolve() for path in paths}
            if file.is_file() or not file.exists()  # a pipe or a device may serve twice
        )
        for file, count in self._files.items():
            if count > 1:
                raise EarmarkError(f"two outputs would be {file}", "Give each a file of its own")

    def spare(self, files: Iterable[Path]) -> None:
        """See before the work that nothing is written over what is read.

        Raises:
            EarmarkError: one of the outputs is among the files.
        """
        spare(files, self._files)

    def write(self, found: Diarization) -> None:
        """Write one recording; what shares a file with others waits for `finish`."""
        for kind, target in self._targets.items():
            text = self._text(kind, found)
            if target == STANDARD_OUTPUT:
                sys.stdout.write(text)
            elif kind in self._shared:
                self._shared[kind] += text
            else:
                write_whole(self._file(kind, found.path), text)

    def finish(self) -> None:
        """Write the files that hold all recordings."""
        for kind, text in self._shared.items():
            write_whole(Path(self._targets[kind]), text)

    def _file(self, kind: str, path: Path) -> Path:
        """Where what was found in a recording is written."""
        target = Path(self._targets[kind])
        suffix = "svg" if kind == "plot" else kind
        return target if kind in self._shared else target / f"{path.stem}.{suffix}"

    def _text(self, kind: str, found: Diarization) -> str:
        match kind:
            case "rttm":
                return format_rttm(found.turns, found.path.stem)
            case "srt":
                return format_srt(found.turns)
            case "json":
                return _json_line(found)
            case _:
                right = self._truth.get(found.path)
                return draw_turns(found.path.name, found.seconds, found.turns, right)


def totals(turns: Sequence[Turn]) -> dict[str, float]:
    """Seconds of each speaker, in order of appearance."""
    sums: dict[str, float] = {}
    for turn in turns:
        sums[turn.speaker] = sums.get(turn.speaker, 0.0) + turn.end - turn.start
    return sums


def _check_distinct(paths: Sequence[Path]) -> None:
    stems = [token(path.stem) for path in paths]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice is not None:
        raise EarmarkError(
            f"two of the files would both be the recording '{twice}'",
            "Run them one by one, or rename one",
        )


def _check_writable(target: str, *, one_file: bool) -> None:
    path = Path(target)
    if not one_file and not path.is_dir():
        raise EarmarkError(
            f"{target} would hold several recordings: expected a folder that is there",
            f"Make it with 'mkdir {target}', or give one recording",
        )
    if target.endswith("/") and not path.is_dir():
        raise EarmarkError(
            f"cannot write {target}: there is no such folder", f"Make it with 'mkdir {target}'"
        )
    if target != STANDARD_OUTPUT:
        check_writable(path)


def _json_line(found: Diarization) -> str:
    document = {
        "file": str(found.path),
        "seconds": found.seconds,
        "speakers": {name: round(time, 3) for name, time in totals(found.turns).items()},
        "turns": [
            {"start": round(turn.start, 3), "end": round(turn.end, 3), "speaker": turn.speaker}
            for turn in found.turns
        ],
    }
    return json.dumps(document) + "\n"
