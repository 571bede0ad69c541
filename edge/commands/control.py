"""`earmark control`: tell a running daemon what to do."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from edge.commands.keys import add_keys, client_keys
from edge.endpoints import DEFAULT_ENDPOINT
from edge.printable import printable
from edge.protocol import (
    MAX_NUMBER,
    Done,
    EnrolCommand,
    EnrolledCommand,
    ForgetCommand,
    ReloadCommand,
    RenameCommand,
    StatusRequest,
    StopCommand,
)
from edge.requests import command

EPILOG = """\
examples:
  earmark control status
  earmark control enroll ada mic speaker2 --at ipc:///run/user/1000/earmark.sock
  earmark control enroll ada mic --segment 12 --at ipc:///run/user/1000/earmark.sock
  earmark control rename ada "Ada L" --at tcp://kitchen:7707 --curve laptop.keys --server 5d0a...
  earmark control stop --at ipc:///run/user/1000/earmark.sock

Everybody may ask for the status who may listen. To command takes a daemon with an ipc:// endpoint
('earmark run --endpoint ipc:///run/user/1000/earmark.sock'), which is its owner's alone, or a key
that was allowed with --commands."""
ACTIONS = (
    ("status", StatusRequest, "how the daemon is, as JSON", ()),
    ("stop", StopCommand, "end the daemon", ()),
    ("reload", ReloadCommand, "read anew the settings and who is enrolled, as on SIGHUP", ()),
    ("enrolled", EnrolledCommand, "who is enrolled, as JSON", ()),
    ("rename", RenameCommand, "give an enrolled speaker another name", ("name", "new")),
    ("forget", ForgetCommand, "erase an enrolled speaker", ("name",)),
    (
        "enroll",
        EnrolCommand,
        "enrol as NAME all that SPEAKER of STREAM has said, or what was said in one segment",
        ("name", "stream"),
    ),
)


def add_parser(subparsers: Any) -> None:
    """Register the subcommand and its own."""
    parser = subparsers.add_parser(
        "control",
        help="ask a running daemon how it is, or tell it what to do",
        description="Asks a running daemon how it is, or tells it what to do.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, kind, text, words in ACTIONS:
        action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        for word in words:
            action.add_argument(word, metavar=word.upper())
        either = ("speaker", "segment") if kind is EnrolCommand else ()
        if either:
            said = action.add_mutually_exclusive_group(required=True)
            said.add_argument("speaker", metavar="SPEAKER", nargs="?", help="as in speaker2")
            said.add_argument(
                "--segment", metavar="ID", type=int, help="of the last two minutes, not final yet"
            )
        action.add_argument(
            "--at", metavar="ENDPOINT", default=DEFAULT_ENDPOINT, help="of the daemon (%(default)s)"
        )
        add_keys(action)
        action.set_defaults(handler=run, kind=kind, words=(*words, *either), fail=action.error)


def run(args: argparse.Namespace) -> int:
    """Ask, and print the answer.

    Raises:
        EarmarkError: no daemon answers, or it refuses.
    """
    words = {word: getattr(args, word) for word in args.words}
    segment = words.get("segment")
    if segment is not None and not 0 <= segment <= MAX_NUMBER:
        args.fail(f"--segment is {segment}, expected 0 to {MAX_NUMBER}")
    request = args.kind(id=0, **words)
    reply = command(args.at, request, client_keys(args))
    if isinstance(reply, Done):
        print(printable(reply.what))
    else:
        print(msgspec.json.format(msgspec.json.encode(reply), indent=2).decode())
    return 0
