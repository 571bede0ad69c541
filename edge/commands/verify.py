"""`earmark verify`: is it who they say they are."""

# ruff: noqa: PLC0415 (heavy imports only once the command runs)

from __future__ import annotations

import argparse
from typing import Any

from edge.commands.options import (
    add_trials,
    existing_store,
    exit_status,
    load_model,
    operating_point,
)

EPILOG = """\
examples:
  earmark verify ada door.wav && echo welcome
  earmark verify ada *.wav --json --false-accept 0.001

'not yet' says that there is too little speech, or too little of it tells. The llr is the natural
logarithm of how much likelier the recording is if it is NAME's voice than if it is not.

exit status: 0 yes to every file; 3 no to at least one; 4 not yet to at least one, no to none;
1 something is wrong outside the program; 2 the command line is wrong"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "verify",
        help="is a recording the voice of an enrolled speaker",
        description="Says of each recording whether it is the voice of the enrolled speaker NAME.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="of the speaker that it is claimed to be")
    add_trials(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Answer for every file, once all of them are heard.

    Raises:
        EarmarkError: a bad rate, file, model or store, or nobody of that name.
    """
    import json
    from dataclasses import asdict

    from edge.timeline import printable
    from edge.verification import file_statistics, verify

    point = operating_point(args)
    model = load_model(args)
    with existing_store(args, model) as store:
        profile = store.profile(args.name)
    trials = [verify(model, profile, heard, point) for heard in file_statistics(model, args.files)]
    for path, trial in zip(args.files, trials, strict=True):
        if args.json:
            print(json.dumps({"file": str(path), **asdict(trial)}))
        else:
            print(
                f"{trial.answer:7}  llr {trial.llr:+7.1f} on {trial.seconds:5.1f} s of speech  "
                f"{printable(str(path))}"
            )
    return exit_status(trial.answer for trial in trials)
