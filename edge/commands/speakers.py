"""`earmark speakers`: who is enrolled."""

# ruff: noqa: PLC0415 (heavy imports only once the command runs)

from __future__ import annotations

import argparse
import sys
from typing import Any

from edge.commands.options import add_model, add_store, existing_store, load_model

EPILOG = """\
examples:
  earmark speakers list
  earmark speakers show ada
  earmark speakers rename ada "Ada L"
  earmark speakers forget ada          her voice is erased from the file"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand and its own."""
    parser = subparsers.add_parser(
        "speakers",
        help="list, show, rename or forget who is enrolled",
        description="Manages the enrolled speakers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, text, words in (
        ("list", "everybody who is enrolled", ()),
        ("show", "what is known of one speaker", ("NAME",)),
        ("rename", "give a speaker another name", ("OLD", "NEW")),
        ("forget", "erase a speaker", ("NAME",)),
    ):
        action = actions.add_parser(name, help=text, description=f"{text.capitalize()}.")
        for word in words:
            action.add_argument(word.lower(), metavar=word)
        add_store(action)
        add_model(action)
        action.set_defaults(handler=run, action=name)


def run(args: argparse.Namespace) -> int:
    """Carry out one action.

    Raises:
        EarmarkError: a bad model, store or name.
    """
    from edge.errors import EarmarkError

    model = load_model(args)
    with existing_store(args, model) as store:
        match args.action:
            case "list":
                names = store.names()
                width = max(map(len, names), default=0)
                for name in names:
                    try:
                        seconds = float(model.seconds(store.profile(name).statistics))
                        print(f"{name:{width}}  {seconds:8.1f} s of speech")
                    except EarmarkError as error:  # one bad profile must not hide the others
                        print(f"{name:{width}}  cannot be used: {error}")
                if not names:
                    print(f"earmark: nobody is enrolled in {store.path}", file=sys.stderr)
            case "show":
                profile = store.profile(args.name)
                print(f"name    {profile.name}")
                print(f"speech  {float(model.seconds(profile.statistics)):.1f} s")
                print(f"model   {model.spec.name} {model.spec.version} ({model.id})")
                print(f"store   {store.path}")
            case "rename":
                store.rename(args.old, args.new)
                print(f"{args.old} is {args.new} now")
            case "forget":
                store.forget(args.name)
                print(f"{args.name} is forgotten")
    return 0
