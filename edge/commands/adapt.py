"""`earmark adapt`: a profile grows by speech that is surely the speaker's, until that is undone."""

# ruff: noqa: PLC0415 (heavy imports only once the command runs)

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands.answers import REFUSED
from edge.commands.options import (
    add_calibration,
    add_condition,
    add_key,
    add_model,
    add_store,
    existing_store,
    load_calibrated_model,
)
from edge.errors import FAILED, EarmarkError
from edge.names import composed

if TYPE_CHECKING:
    from edge.enrolment import Recording

FALSE_ACCEPT = 0.001
EPILOG = f"""\
examples:
  earmark adapt ada call.wav                    her voice as it is today
  earmark adapt ada calls/*.wav --condition telephone
  earmark speakers undo ada                     the last of them is taken back

Matching never changes a profile; this does, where asked to. A recording is added only if it could
be enrolled, and if it is NAME's voice at odds that let {FALSE_ACCEPT:.1%} of strangers pass, and
clearly ahead of all others who are enrolled; else it is told and left out. The last eight can be
undone.

exit status: 0 all were added; 3 at least one was not NAME's for sure; 1 something is wrong outside
the program, be it one file; 2 the command line is wrong"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "adapt",
        help="add recordings to a profile, if they are surely that speaker's",
        description="Adds recordings to the profile of the enrolled speaker NAME, if they are "
        "surely that speaker's; this can be undone.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", type=composed, help="of the speaker")
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="WAV, FLAC or Ogg")
    add_condition(parser)
    add_store(parser)
    add_key(parser)
    add_model(parser)
    add_calibration(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Hear one file after the other, each judged with those before it.

    Raises:
        EarmarkError: a bad model, store, key, calibration or condition, or nobody of that name.
    """
    from edge.enrolment import assess
    from edge.names import check_condition
    from edge.printable import printable
    from edge.progress import stream_with_progress
    from edge.quality import measure

    check_condition(args.condition)
    model = load_calibrated_model(args)
    status = 0
    with existing_store(args, model) as store:
        store.profile(args.name)
        for path in args.files:
            file = printable(str(path))
            try:
                heard = [(str(path), measure(model, stream_with_progress(path)))]
                (recording,) = assess(model, args.name, heard, store.profiles())
                reasons = doubts(recording)
            except EarmarkError as error:
                print(f"earmark: {error}", file=sys.stderr)
                status = FAILED
                continue
            if reasons:
                print(f"earmark: {file} is left out: {'; '.join(reasons)}", file=sys.stderr)
                status = status or REFUSED
                continue
            quality = recording.quality
            if store.adapt(args.name, quality.statistics, args.condition).again:
                print(f"{args.name}: {file} is the same speech, not counted again")
                continue
            print(f"{args.name}: {quality.seconds:.1f} s of speech added from {file}", flush=True)
    return status


def doubts(recording: Recording) -> list[str]:
    """What speaks against adding a recording to the profile that it was compared with."""
    from edge.findings import EnrolmentLimits
    from edge.scoring import OperatingPoint

    point = OperatingPoint(FALSE_ACCEPT)
    quality, alike = recording.quality, recording.alike
    found = [finding.what for finding in recording.findings if finding.refused]
    least = EnrolmentLimits().seconds
    if 0.0 < quality.seconds < least:
        found.append(f"{quality.seconds:.1f} s of speech, expected {least:g}")
    if alike.own is not None and point.answer(alike.own) != "yes":
        found.append(f"llr {alike.own:+.1f}, expected {point.accept_llr:+.1f} or more")
    other = alike.other
    if alike.own is not None and other and point.answer(alike.own - other.llr) != "yes":
        found.append(f"the llr of {other.speaker} is {other.llr:+.1f}, too near {alike.own:+.1f}")
    return found
