"""`earmark verify`: is it who they say they are."""

# ruff: noqa: PLC0415 (heavy imports only once the command runs)

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from edge.commands.answers import add_answers, answer_files
from edge.commands.options import existing_store, load_calibrated_model, operating_point
from edge.names import composed

EPILOG = """\
examples:
  earmark verify ada door.wav && echo welcome
  earmark verify ada *.wav --json --false-accept 0.001

A file is heard until the speech suffices for a yes or a no; 'not yet' says that all of it does not.
The llr is the natural logarithm of how much likelier that speech is if it is NAME's voice than if
it is not. How alike strangers are in your rooms is judged by the others who are enrolled. A file
that cannot be heard is told on standard error, and the others are answered for.

exit status: 0 yes to every file; 3 no to at least one; 4 not yet to at least one, no to none;
1 something is wrong outside the program, be it one file; 2 the command line is wrong"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "verify",
        help="is a recording the voice of an enrolled speaker",
        description="Says of each recording whether it is the voice of the enrolled speaker NAME.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "name", metavar="NAME", type=composed, help="of the speaker that it is claimed to be"
    )
    add_answers(parser)
    parser.set_defaults(handler=run, fail=parser.error)


def run(args: argparse.Namespace) -> int:
    """Answer for one file after the other.

    Raises:
        EarmarkError: a bad model or store, or nobody of that name.
    """
    from edge.gallery import claimed_gallery
    from edge.verification import verify

    point = operating_point(args)
    model = load_calibrated_model(args)
    with existing_store(args, model) as store:
        gallery = claimed_gallery(model, store, args.name)
    return answer_files(
        args,
        model,
        partial(verify, model, gallery, args.name),
        point,
        lambda result: f"llr {result.llr:+.1f}",
    )
