"""What `verify` and `identify` share: an answer a file, and an exit status for them all."""

# ruff: noqa: PLC0415 (heavy imports only once a command runs)

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands.options import add_calibration, add_key, add_model, add_store
from edge.errors import FAILED, EarmarkError

if TYPE_CHECKING:
    from edge.encoder import Model
    from edge.scoring import OperatingPoint
    from edge.statistics import Sums
    from edge.verification import Result

REFUSED, UNDECIDED = 3, 4  # exit statuses


def add_answers(parser: argparse.ArgumentParser) -> None:
    """What recordings are tested, against whom, and how strictly."""
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="WAV, FLAC or Ogg")
    parser.add_argument("--json", action="store_true", help="JSON, one line a file")
    for option, text in (
        ("--false-accept", "how often a stranger may get a yes"),
        ("--miss", "how often the speaker may get a no"),
    ):
        parser.add_argument(
            option, type=float, default=0.01, metavar="RATE", help=f"{text} (%(default)s)"
        )
    add_store(parser)
    add_key(parser)
    add_model(parser)
    add_calibration(parser)


def answer_files(
    args: argparse.Namespace,
    model: Model,
    compare: Callable[[Sums, OperatingPoint], Result],
    point: OperatingPoint,
    describe: Callable[[Result], str],
) -> int:
    """Print the answer for each file as soon as it is known; the exit status of them all.

    A file that cannot be heard is told on standard error, and the next one is heard.
    """
    from edge.audio import stream_audio
    from edge.gate import GateConfig
    from edge.printable import printable
    from edge.progress import count_with_progress, stream_with_progress
    from edge.records import iter_records
    from edge.verification import first_answer

    stream = stream_with_progress if len(args.files) == 1 else stream_audio
    answers: set[str] = set()
    failed = False
    for path in count_with_progress(args.files, len(args.files)):
        try:
            records = iter_records(model, GateConfig(), stream(path))
            result = first_answer(model, records, compare, point)
        except EarmarkError as error:
            print(f"earmark: {error}", file=sys.stderr)
            failed = True
            continue
        answers.add(result.answer)
        if args.json:
            print(json.dumps({"file": str(path), **asdict(result)}), flush=True)
        else:
            print(
                f"{result.answer:7}  {describe(result)} on {result.seconds:.1f} s of speech  "
                f"{printable(str(path))}",
                flush=True,
            )
    return FAILED if failed else exit_status(answers)


def exit_status(answers: Collection[str]) -> int:
    """0 if every answer is `yes`, 3 if any is `no`, else 4."""
    if "no" in answers:
        return REFUSED
    return UNDECIDED if "not yet" in answers else 0
