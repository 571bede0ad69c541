"""`earmark speakers`: who is enrolled."""

# ruff: noqa: PLC0415 (heavy imports only once the command runs)

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands.options import add_key, add_model, add_store, existing_store, load_model
from edge.names import composed

if TYPE_CHECKING:
    from edge.encoder import Model
    from edge.statistics import Grown, Profile, Sums
    from edge.store import Agreement, Store

EPILOG = """\
examples:
  earmark speakers list
  earmark speakers show ada
  earmark speakers rename ada "Ada L"
  earmark speakers merge ada ada2      what is known of ada2 is added to ada; ada2 is erased
  earmark speakers merge ada ada2 --force           though they do not sound alike
  earmark speakers undo ada            what earmark adapt added last is taken back
  earmark speakers forget ada          her voice is erased from the file
  earmark speakers export voices       one new file, which 'earmark speakers import' reads
  earmark speakers keygen ~/.config/earmark.key
  earmark speakers encrypt --key ~/.config/earmark.key

A daemon that runs already knows of changes after 'earmark control reload', or SIGHUP.

Once a store is encrypted, every command needs the same --key. Who loses the key file loses the
voices. What is exported from an encrypted store is encrypted with the same key."""
ACTIONS = (
    ("list", "everybody who is enrolled", ()),
    ("show", "what is known of one speaker", ("NAME",)),
    ("rename", "give a speaker another name", ("OLD", "NEW")),
    ("merge", "add what is known of OTHER to NAME, and erase OTHER", ("NAME", "OTHER")),
    ("undo", "take back what earmark adapt added to a speaker last", ("NAME",)),
    ("forget", "erase a speaker", ("NAME",)),
    ("export", "write everybody to a new file", ("FILE",)),
    ("import", "add everybody in an exported file, or nobody", ("FILE",)),
    ("encrypt", "encrypt the store with a key file", ()),
)


def add_parser(subparsers: Any) -> None:
    """Register the subcommand and its own."""
    parser = subparsers.add_parser(
        "speakers",
        help="list, show, rename, merge, forget, export, import or encrypt who is enrolled",
        description="Manages the enrolled speakers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, text, words in ACTIONS:
        action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        for word in words:
            action.add_argument(
                word.lower(), metavar=word, type=Path if word == "FILE" else composed
            )
        if name == "import":
            action.add_argument(
                "--merge", action="store_true", help="add to speakers of the same name"
            )
        if name in ("import", "merge"):
            action.add_argument(
                "--force", action="store_true", help="merge even what sounds like two voices"
            )
        add_store(action)
        add_key(action, required=name == "encrypt")
        add_model(action)
        action.set_defaults(handler=run, action=name)
    keygen = actions.add_parser(
        "keygen", help="make a key file", description="Makes a key file, which is never replaced."
    )
    keygen.add_argument("file", metavar="FILE", type=Path)
    keygen.set_defaults(handler=run_keygen)


def run(args: argparse.Namespace) -> int:
    """Carry out one action on a store.

    Raises:
        EarmarkError: a bad model, store, key, file or name.
    """
    from edge.private_file import write_private

    model = load_model(args)
    if args.action == "import":
        return _import(args, model)
    with _open(args, model) as store:
        match args.action:
            case "list":
                _list(store, model)
            case "show":
                _show(store, model, args.name)
            case "rename":
                store.rename(args.old, args.new)
                print(f"{args.old} is {args.new} now")
            case "merge":
                grown = store.merge(args.name, args.other, _agreement(args, model))
                speech = _speech(model, grown.profile.statistics)
                print(f"{args.other} is part of {args.name} now: {speech}")
                _tell_again([grown])
            case "undo":
                print(f"{_speech(model, store.undo(args.name).statistics)} taken from {args.name}")
            case "forget":
                store.forget(args.name)
                print(f"{args.name} is forgotten")
            case "export":
                write_private(args.file, store.export())
                print(f"everybody is in {args.file}")
            case "encrypt":
                store.encrypt(args.key)
                print(f"{store.path} is encrypted: without {args.key} nobody can read it")
    return 0


def run_keygen(args: argparse.Namespace) -> int:
    """Make a key file.

    Raises:
        EarmarkError: something of that name is there, or it cannot be written.
    """
    from edge.sealing import make_key

    make_key(args.file)
    print(f"{args.file} is a key now: keep a copy elsewhere")
    return 0


def _open(args: argparse.Namespace, model: Model) -> Store:
    from edge.errors import EarmarkError
    from edge.speaker_table import KeyNeededError
    from edge.store import Store

    if args.action != "encrypt":
        return existing_store(args, model)
    try:  # the key is for what it will be
        return Store(args.store, model, create=False)
    except KeyNeededError as error:
        raise EarmarkError(f"{error.what} already", "Nothing was changed") from error


def _import(args: argparse.Namespace, model: Model) -> int:
    """Add everybody in a file; it may be what a store begins with."""
    from edge.speaker_export import decode_export, read_export
    from edge.speaker_table import read_cipher
    from edge.store import Store

    data = read_export(args.file)
    decode_export(data, model, read_cipher(args.key))  # before a store is made, or has its key
    with Store(args.store, model, key=args.key) as store:
        found = store.import_(data, args.merge, _agreement(args, model))
    print(f"imported: {', '.join(grown.profile.name for grown in found)}")
    _tell_again(found)
    return 0


def _agreement(args: argparse.Namespace, model: Model) -> Agreement | None:
    """What refuses to make one of two voices, unless that is forced."""
    from edge.enrolment import check_agreement
    from edge.errors import EarmarkError

    def check(speech: Profile, known: Sequence[Profile]) -> None:
        try:
            check_agreement(model, speech, known)
        except EarmarkError as error:
            raise EarmarkError(error.what, f"{error.remedy}. Add --force if it is") from error

    return None if args.force else check


def _tell_again(found: Sequence[Grown]) -> None:
    for profile, again in found:
        if again:
            print(f"{profile.name}: the same speech, not counted again")


def _list(store: Store, model: Model) -> None:
    from edge.errors import EarmarkError

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


def _show(store: Store, model: Model, name: str) -> None:
    ledger = store.ledger(name)
    print(f"name     {name}")
    print(f"speech   {_speech(model, ledger.total)}")
    for condition, statistics in sorted(ledger.conditions.items()):
        print(f"         {_speech(model, statistics)}, {condition}")
    for update in ledger.updates:
        print(f"         {_speech(model, update.statistics)}, {update.condition}: an update")
    print(f"model    {model.spec.name} {model.spec.version} ({model.id})")
    print(f"store    {store.path}")


def _speech(model: Model, statistics: Sums) -> str:
    return f"{float(model.seconds(statistics)):.1f} s of speech"
