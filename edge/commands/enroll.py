"""`earmark enroll`: add recordings of a speaker to their profile."""

# ruff: noqa: PLC0415 (heavy imports only once the command runs)

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edge.commands.options import add_key, add_model, add_store, load_model

EPILOG = """\
examples:
  earmark enroll ada ada1.wav ada2.wav     two recordings in which nobody but Ada speaks
  earmark enroll ada later.flac            more of her, at any time: profiles add up

Three seconds of speech are the least, thirty are good. Only statistics of the voice are kept,
never audio, readable by you alone. One bad file, and nothing is changed."""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "enroll",
        help="add recordings of a speaker to their profile",
        description="Adds the speech in recordings of one person to that person's profile.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="of the speaker")
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="WAV, FLAC or Ogg")
    add_store(parser)
    add_key(parser)
    add_model(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Hear all files, then write once.

    Raises:
        EarmarkError: a bad name, file, model or store, or too little speech.
    """
    from edge.enrolment import check_enough
    from edge.errors import EarmarkError
    from edge.names import check_name
    from edge.statistics import Profile
    from edge.store import Store, default_path
    from edge.verification import file_statistics

    check_name(args.name)
    model = load_model(args)
    heard = file_statistics(model, args.files)
    for path, statistics in zip(args.files, heard, strict=True):
        if not statistics.any():
            raise EarmarkError(
                f"{path}: expected speech, heard none; nothing was changed",
                "Leave this file out, or record it again closer to the microphone",
            )
    added = Profile(args.name, sum(heard[1:], heard[0]))
    path = args.store or default_path()
    if not path.exists():
        check_enough(model, added)  # before a store is made
    with Store(path, model, key=args.key) as store:
        profile = store.enrol(added, lambda grown: check_enough(model, grown))
    for path, statistics in zip(args.files, heard, strict=True):
        print(f"{float(model.seconds(statistics)):8.1f} s  {path}")
    new, total = (float(model.seconds(p.statistics)) for p in (added, profile))
    print(f"{args.name}: {new:.1f} s of speech added, {total:.1f} s in all")
    return 0
