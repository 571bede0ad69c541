"""`earmark identify`: which enrolled speaker is it, if any."""

# ruff: noqa: PLC0415 (heavy imports only once the command runs)

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from edge.commands.answers import add_answers, answer_files
from edge.commands.options import existing_store, load_calibrated_model, operating_point

if TYPE_CHECKING:
    from edge.verification import Identification

EPILOG = """\
examples:
  earmark identify visitor.wav
  earmark identify *.flac --json | jq 'select(.answer == "yes") | .best'

A file is heard until the speech suffices for an answer. 'yes' says that it is the speaker named,
clearly before the runner-up; 'no' that it is nobody who is enrolled; 'not yet' that all of the
speech does not suffice for either. A recording is taken for one voice; see 'earmark diarize'. A
file that cannot be heard is told on standard error, and the others are answered for.

exit status: 0 every file is identified; 3 at least one is nobody's; 4 not yet for at least one,
nobody's is none; 1 something is wrong outside the program, be it one file; 2 the command line is
wrong"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "identify",
        help="which enrolled speaker is it, if any",
        description="Says of each recording which enrolled speaker's voice it is, if anybody's.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_answers(parser)
    parser.set_defaults(handler=run, fail=parser.error)


def run(args: argparse.Namespace) -> int:
    """Answer for one file after the other.

    Raises:
        EarmarkError: a bad model or store, or nobody is enrolled.
    """
    from edge.errors import EarmarkError
    from edge.gallery import Gallery
    from edge.verification import identify

    point = operating_point(args)
    model = load_calibrated_model(args)
    with existing_store(args, model) as store:
        gallery = Gallery(model, store.profiles())
    if not gallery:
        raise EarmarkError("nobody is enrolled", "Begin with 'earmark enroll NAME FILE'")
    return answer_files(args, model, partial(identify, model, gallery), point, _describe)


def _describe(found: Identification) -> str:
    who = {"yes": found.best, "no": "nobody enrolled", "not yet": f"{found.best}?"}
    other = "" if found.margin is None else f", {found.margin:.1f} before {found.runner_up},"
    return f"{who[found.answer]:16}  {found.best} llr {found.llr:+.1f}{other}"
