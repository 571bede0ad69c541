"""`earmark keys`: who may connect to a daemon from another machine."""

# ruff: noqa: PLC0415 (the client is imported only where something is connected)

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import EarmarkError
from edge.keyring import Client, change_keyring, make_keyring, read_keyring

if TYPE_CHECKING:
    from edge.requests import Keys

EPILOG = """\
examples, a daemon that a laptop may listen to:
  daemon$ earmark keys new daemon.keys             prints its public key, 5d0a...
  laptop$ earmark keys new laptop.keys             prints its public key, 93be...
  daemon$ earmark keys allow daemon.keys laptop 93be...
  daemon$ earmark run --endpoint tcp://0.0.0.0:7707 --curve daemon.keys
  laptop$ earmark listen tcp://daemon.local:7707 --curve laptop.keys --server 5d0a...
  daemon$ earmark keys revoke daemon.keys laptop   takes effect at once

A daemon with keys answers nobody without one, on its own machine neither. Secret keys stay in their
files, which only their owners can read."""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand and its own."""
    parser = subparsers.add_parser(
        "keys",
        help="make keys, and say who may connect to a daemon",
        description="Makes keys, and says who may connect to a daemon from another machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add(actions, "new", _new, "make a file with a new pair of keys")
    _add(actions, "show", _show, "print the public key")
    allow = _add(actions, "allow", _allow, "let a client connect", "name", "public")
    allow.add_argument(
        "--commands", action="store_true", help="it may also change what the daemon does"
    )
    allow.add_argument(
        "--audio", action="store_true", help="it may also be a satellite ('earmark satellite')"
    )
    _add(actions, "list", _list, "who may connect")
    _add(actions, "revoke", _revoke, "let a client connect no more, from now on", "name")


def add_keys(parser: argparse.ArgumentParser) -> None:
    """The options of a client of a daemon that has keys."""
    parser.add_argument("--curve", type=Path, metavar="FILE", help="your keys ('earmark keys new')")
    parser.add_argument("--server", metavar="KEY", help="the daemon's public key")


def client_keys(args: argparse.Namespace) -> Keys | None:
    """What the options of `add_keys` say.

    Raises:
        EarmarkError: one was given without the other.
    """
    from edge.requests import Keys

    if (args.curve is None) != (args.server is None):
        raise EarmarkError(
            "--curve and --server were expected together, one came",
            "--server is what 'earmark keys show FILE' prints where the daemon is",
        )
    return None if args.curve is None else Keys(args.curve, args.server)


def _add(actions: Any, name: str, handler: Any, text: str, *words: str) -> Any:
    action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    action.add_argument("file", metavar="FILE", type=Path)
    for word in words:
        action.add_argument(word, metavar=word.upper())
    action.set_defaults(handler=handler)
    return action


def _new(args: argparse.Namespace) -> int:
    print(make_keyring(args.file).public)
    return 0


def _show(args: argparse.Namespace) -> int:
    print(read_keyring(args.file).public)
    return 0


def _allow(args: argparse.Namespace) -> int:
    client = Client(args.name, args.public, args.commands, args.audio)
    change_keyring(args.file, lambda keyring: keyring.allow(client))
    return 0


def _list(args: argparse.Namespace) -> int:
    clients = read_keyring(args.file).clients
    width = max((len(client.rights) for client in clients), default=0)
    for client in clients:
        print(f"{client.public}  {client.rights:{width}}  {client.name}")
    return 0


def _revoke(args: argparse.Namespace) -> int:
    change_keyring(args.file, lambda keyring: keyring.revoke(args.name))
    return 0
