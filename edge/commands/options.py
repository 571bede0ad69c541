"""What several commands on files have in common. Light: no model is imported before one runs."""

# ruff: noqa: PLC0415 (heavy imports only once a command runs)

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import EarmarkError
from edge.names import composed

if TYPE_CHECKING:
    from edge.encoder import Model
    from edge.scoring import OperatingPoint
    from edge.store import Store


def add_model(parser: argparse.ArgumentParser) -> None:
    """The option that names the encoder."""
    parser.add_argument(
        "--model",
        type=Path,
        metavar="MODEL",
        help="small (the default), tiny, or a folder made by earmark-export",
    )


def add_calibration(parser: argparse.ArgumentParser) -> None:
    """The option that names the user's own odds."""
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="of 'earmark calibrate' (~/.local/share/earmark/calibration.json, if there)",
    )


def add_condition(parser: argparse.ArgumentParser) -> None:
    """The option that names how a recording was made."""
    parser.add_argument(
        "--condition",
        type=composed,
        default="default",
        metavar="WORD",
        help="how it was recorded, such as 'telephone': kept apart in the profile (%(default)s)",
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


def load_model(args: argparse.Namespace) -> Model:
    """The encoder that the command line names, or the one that ships.

    Raises:
        EarmarkError: no model there, or none for this runtime.
    """
    from edge.encoder import Model

    return Model.load(args.model)


def load_calibrated_model(args: argparse.Namespace) -> Model:
    """The encoder, with the odds that the user's own clips taught, if there are any.

    Raises:
        EarmarkError: as `load_model`, or the calibration cannot be used.
    """
    from edge.recalibration import recalibrate

    model = load_model(args)
    recalibrate(model, args.calibration)
    return model


def existing_store(args: argparse.Namespace, model: Model) -> Store:
    """The store that the command line names, or the user's own; none is created.

    Raises:
        EarmarkError: it is not there, or no store, or encrypted with another key or none.
    """
    from edge.store import Store

    return Store(args.store, model, create=False, key=args.key)


def tell_left_out(folder: Path) -> None:
    """A line on standard error of what is in the folder and not heard, if there is such.

    Raises:
        EarmarkError: it cannot be read.
    """
    from edge.printable import printable
    from edge.sources.file import left_out

    if others := left_out(folder):
        where = printable(str(folder))
        print(
            f"earmark: WAV, FLAC and Ogg files in {where} are heard, not {others}", file=sys.stderr
        )


def operating_point(args: argparse.Namespace) -> OperatingPoint:
    """The error rates that the command line asks for; it is wrong where one is no rate."""
    from edge.scoring import OperatingPoint

    rates = {name: getattr(args, name) for name in ("false_accept", "miss") if name in args}
    try:
        return OperatingPoint(**rates)
    except EarmarkError as error:
        args.fail(str(error))
        raise
