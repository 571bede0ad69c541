"""`earmark identify`: which enrolled speaker is it, if any."""

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
  earmark identify visitor.wav
  earmark identify *.flac --json | jq 'select(.answer == "yes") | .best'

'yes' says that it is the speaker named, 'no' that it is nobody who is enrolled, 'not yet' that the
speech does not suffice for either. A recording is taken for one voice; see 'earmark diarize'.

exit status: 0 every file is identified; 3 at least one is nobody's; 4 not yet for at least one,
nobody's is none; 1 something is wrong outside the program; 2 the command line is wrong"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "identify",
        help="which enrolled speaker is it, if any",
        description="Says of each recording which enrolled speaker's voice it is, if anybody's.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_trials(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Answer for every file, once all of them are heard.

    Raises:
        EarmarkError: a bad rate, file, model or store, or nobody is enrolled.
    """
    import json
    from dataclasses import asdict

    from edge.timeline import printable
    from edge.verification import file_statistics, identify

    point = operating_point(args)
    model = load_model(args)
    with existing_store(args, model) as store:
        profiles = store.profiles()
    found = [
        identify(model, profiles, heard, point) for heard in file_statistics(model, args.files)
    ]
    for path, trial in zip(args.files, found, strict=True):
        if args.json:
            print(json.dumps({"file": str(path), **asdict(trial)}))
            continue
        who = {"yes": trial.best, "no": "nobody enrolled", "not yet": f"{trial.best}?"}
        other = ""
        if trial.margin is not None:
            other = f", {trial.margin:.1f} before {trial.runner_up}"
        print(
            f"{trial.answer:7}  {who[trial.answer]:16}  {trial.best} llr {trial.llr:+.1f}{other}, "
            f"on {trial.seconds:.1f} s of speech  {printable(str(path))}"
        )
    return exit_status(trial.answer for trial in found)
