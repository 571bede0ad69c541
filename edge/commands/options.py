"""What several commands on files have in common. Light: no model is imported before one runs."""

# ruff: noqa: PLC0415 (heavy imports only once a command runs)

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.encoder import Model
    from edge.scoring import OperatingPoint
    from edge.store import Store

REFUSED, UNDECIDED = 3, 4  # exit statuses


def add_model(parser: argparse.ArgumentParser) -> None:
    """The option that names the encoder."""
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="encoder made by earmark-export"
    )


def add_store(parser: argparse._ActionsContainer) -> None:
    """The option that names the database of the enrolled."""
    parser.add_argument(
        "--store",
        type=Path,
        metavar="DB",
        help="enrolled speakers (~/.local/share/earmark/speakers.db)",
    )


def add_key(parser: argparse.ArgumentParser, required: bool = False) -> None:
    """The option that names the key of an encrypted database."""
    parser.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        required=required,
        help="the store's key, made by 'earmark speakers keygen'",
    )


def add_error_rates(parser: argparse.ArgumentParser) -> None:
    """The options that fix the thresholds."""
    for option, text in (
        ("--false-accept", "how often a stranger may get a yes"),
        ("--miss", "how often the speaker may get a no"),
    ):
        parser.add_argument(
            option, type=float, default=0.01, metavar="RATE", help=f"{text} (%(default)s)"
        )


def add_trials(parser: argparse.ArgumentParser) -> None:
    """What recordings are tested, against whom, and how strictly."""
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="WAV, FLAC or Ogg")
    parser.add_argument("--json", action="store_true", help="JSON, one line a file")
    add_error_rates(parser)
    add_store(parser)
    add_key(parser)
    add_model(parser)


def load_model(args: argparse.Namespace) -> Model:
    """The encoder that the command line names, or the one that ships.

    Raises:
        EarmarkError: no model there, or none for this runtime.
    """
    from edge.encoder import Model

    return Model.load(args.model)


def existing_store(args: argparse.Namespace, model: Model) -> Store:
    """The store that the command line names, or the user's own; none is created.

    Raises:
        EarmarkError: it is not there, or no store, or encrypted with another key or none.
    """
    from edge.store import Store

    return Store(args.store, model, create=False, key=args.key)


def operating_point(args: argparse.Namespace) -> OperatingPoint:
    """The error rates that the command line asks for.

    Raises:
        EarmarkError: one is no rate.
    """
    from edge.scoring import OperatingPoint

    return OperatingPoint(args.false_accept, args.miss)


def exit_status(answers: Iterable[str]) -> int:
    """0 if every answer is `yes`, 3 if any is `no`, else 4."""
    given = set(answers)
    if "no" in given:
        return REFUSED
    return UNDECIDED if "not yet" in given else 0
