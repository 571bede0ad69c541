"""`earmark satellite`: a microphone for a daemon on another machine."""

from __future__ import annotations

import argparse
from typing import Any

from edge import log
from edge.commands.keys import add_keys, client_keys
from edge.errors import FAILED, EarmarkError
from edge.satellite import Sender, relay
from edge.signals import stop_on_signals
from edge.sources import Source
from edge.sources.file import FileSource
from edge.sources.microphone import MicrophoneSource

EPILOG = """\
examples, a kitchen that a hub hears:
  hub$     earmark keys new hub.keys                 prints its public key, 5d0a...
  kitchen$ earmark keys new kitchen.keys             prints its public key, 93be...
  hub$     earmark keys allow hub.keys kitchen 93be... --audio
  hub$     earmark run --satellite tcp://0.0.0.0:7711 --curve hub.keys
  kitchen$ earmark satellite tcp://hub.local:7711 --mic USB --curve kitchen.keys --server 5d0a...
  hub$     earmark keys allow hub.keys hub 5d0a...   with keys, who listens needs one, here too
  hub$     earmark listen --curve hub.keys --server 5d0a...

It only captures: 16 kHz, 16 bits, 32 kB a second. What cannot be sent waits for five seconds and
is dropped then; the daemon is told exactly what is missing, and publishes it as source.gap. A
satellite of which it hears nothing for a second is source.lost, and source.restored when it is
back. Several take an endpoint each, under 'sources' in the daemon's configuration. The exit status
is 1 where no daemon took what was heard."""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "satellite",
        help="send a microphone's sound to a daemon on another machine",
        description="Hears a microphone, and sends its sound to a daemon that says who speaks.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("endpoint", metavar="ENDPOINT", help="as of 'earmark run --satellite'")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--mic", metavar="NAME", help="part of its name, a pattern, or number")
    source.add_argument("--wav", metavar="FILE", help="WAV, FLAC or Ogg, sent in real time")
    add_keys(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Send until the source ends or a signal asks to stop; the log tells what goes wrong."""
    log.set_up("auto", "info")
    stop = stop_on_signals()

    def open_source() -> Source:
        if args.wav is not None:
            return FileSource(args.wav, realtime=True)
        return MicrophoneSource(args.mic)

    try:
        with Sender(args.endpoint, client_keys(args)) as sender:
            relay(open_source, sender, lambda: stop.asked)
            if not stop.asked and not sender.reached():
                raise EarmarkError(
                    f"no daemon at {args.endpoint} took the sound",
                    "See whether 'earmark run --satellite' is there, and whether it wants keys",
                )
    except EarmarkError as error:
        log.error("failed", str(error))
        return FAILED
    return 0
