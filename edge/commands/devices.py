"""`earmark devices`: the microphones that `earmark run --mic` can use."""

from __future__ import annotations

import argparse

from edge.errors import EarmarkError
from edge.printable import printable
from edge.sources.devices import list_devices


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "devices",
        help="list the microphones",
        description="List the microphones; '*' marks the system's default.",
        epilog="example: earmark devices && earmark run --mic 'USB'",
    )
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Print a table of the input devices.

    Raises:
        EarmarkError: there is none, or PortAudio is not installed.
    """
    devices = list_devices()
    if not devices:
        raise EarmarkError(
            "expected at least one microphone, found none",
            "Plug one in and see whether 'arecord -l' lists it",
        )
    width = max(len(device.name) for device in devices)
    print(f"  index  {'name':{width}}     rate  channels")
    for device in devices:
        mark, name = "*" if device.default else " ", printable(device.name)
        print(f"{mark} {device.index:5}  {name:{width}}  {device.rate:7}  {device.channels:8}")
    return 0
