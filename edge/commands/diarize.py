"""`earmark diarize`: who spoke when in a recording."""

# ruff: noqa: PLC0415 (heavy imports only once the command runs)

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands.options import add_key, add_model, add_store, existing_store, load_model
from edge.errors import EarmarkError

if TYPE_CHECKING:
    from edge.encoder import Model
    from edge.rttm import Turn
    from edge.statistics import Profile

EPILOG = """\
examples:
  earmark diarize meeting.flac
  earmark diarize meeting.flac --rttm meeting.rttm --json meeting.json
  earmark diarize *.wav --anonymous --rttm - > all.rttm

Enrolled speakers go by their names, others are speaker1, speaker2 and so on, in each file anew;
'unknown' is a voice of which too little was heard. The file takes the way of a live source, so
the answer is what 'earmark run' would have said in the end."""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "diarize",
        help="who spoke when in a recording",
        description="Says who spoke when: a table, or RTTM, or JSON.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="WAV, FLAC or Ogg")
    parser.add_argument("--rttm", metavar="F", help="write RTTM there; '-' is standard output")
    parser.add_argument(
        "--json", metavar="F", help="write JSON there, one line a file; '-' is standard output"
    )
    names = parser.add_mutually_exclusive_group()
    add_store(names)
    names.add_argument("--anonymous", action="store_true", help="name nobody who is enrolled")
    add_key(parser)
    add_model(parser)
    parser.set_defaults(handler=run, fail=parser.error)


def run(args: argparse.Namespace) -> int:
    """Hear one file after the other, then write.

    Raises:
        EarmarkError: a bad file, model or store, or an output that cannot be written.
    """
    from edge.rttm import format_rttm
    from edge.sources.file import FileSource

    if args.rttm == args.json == "-":
        args.fail("only one of --rttm and --json can go to standard output")
    if args.rttm:
        _check_distinct(args.files)
    for output in (args.rttm, args.json):
        _check_writable(output)
    model = load_model(args)
    profiles = _profiles(args, model)
    for path in args.files:
        FileSource(path).close()  # what can be seen at once is told before the first is heard
    found = [_diarize(path, model, profiles) for path in args.files]
    if args.rttm:
        _write(
            args.rttm,
            "".join(
                format_rttm(turns, path.stem)
                for path, (turns, _) in zip(args.files, found, strict=True)
            ),
        )
    if args.json:
        _write(
            args.json,
            "".join(
                _json_line(path, turns, seconds)
                for path, (turns, seconds) in zip(args.files, found, strict=True)
            ),
        )
    if not args.rttm and not args.json:
        for path, (turns, seconds) in zip(args.files, found, strict=True):
            _print_table(path, turns, seconds)
    return 0


def _profiles(args: argparse.Namespace, model: Model) -> list[Profile]:
    """Whom to name: nobody, or all of the store that is asked for, or of the user's if there is."""
    from edge.store import default_path

    if args.anonymous or (args.store is None and not default_path().exists()):
        return []
    with existing_store(args, model) as store:
        return store.profiles()


def _diarize(path: Path, model: Model, profiles: Sequence[Profile]) -> tuple[list[Turn], float]:
    """The turns of a recording, and its length in seconds."""
    from edge.front_end import SAMPLE_RATE
    from edge.pipeline import Pipeline, PipelineConfig
    from edge.progress import stream_with_progress
    from edge.turns import turns_from_events

    pipeline = Pipeline(model, profiles, PipelineConfig())
    events = [event for block in stream_with_progress(path) for event in pipeline.push(block)]
    events += pipeline.flush()
    return turns_from_events(events), pipeline.position / SAMPLE_RATE


def _check_distinct(paths: Sequence[Path]) -> None:
    stems = [path.stem for path in paths]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice is not None:
        raise EarmarkError(
            f"two of the files would both be the recording '{twice}' in the RTTM",
            "Run them one by one, or rename one",
        )


def _check_writable(output: str | None) -> None:
    """Refuse what could not be written in the end, before the work."""
    if output is None or output == "-":
        return
    path = Path(output)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise EarmarkError(
            f"cannot write {path}: expected a file, or a new one in a folder that can be written",
            "Give another file, or '-' for standard output",
        )


def _write(output: str, text: str) -> None:
    if output == "-":
        sys.stdout.write(text)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise EarmarkError(
            f"cannot write {output}: {error.strerror}", "Give another file"
        ) from error


def _totals(turns: Sequence[Turn]) -> dict[str, float]:
    """Seconds of each speaker, in order of appearance."""
    totals: dict[str, float] = {}
    for turn in turns:
        totals[turn.speaker] = totals.get(turn.speaker, 0.0) + turn.end - turn.start
    return totals


def _json_line(path: Path, turns: Sequence[Turn], seconds: float) -> str:
    document = {
        "file": str(path),
        "seconds": seconds,
        "speakers": {name: round(time, 3) for name, time in _totals(turns).items()},
        "turns": [
            {"start": round(turn.start, 3), "end": round(turn.end, 3), "speaker": turn.speaker}
            for turn in turns
        ],
    }
    return json.dumps(document) + "\n"


def _print_table(path: Path, turns: Sequence[Turn], seconds: float) -> None:
    from edge.timeline import printable

    print(f"{printable(str(path))}, {seconds:.1f} s\n")
    if not turns:
        print("nobody speaks\n")
        return
    print(f"{'from':>9}  {'to':>9}  {'seconds':>7}  speaker")
    for turn in turns:
        length = turn.end - turn.start
        print(f"{turn.start:9.1f}  {turn.end:9.1f}  {length:7.1f}  {turn.speaker}")
    totals = ", ".join(f"{name} {time:.1f} s" for name, time in _totals(turns).items())
    print(f"\n{totals}\n")
