"""`earmark top`: how a running daemon is, live."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

from edge.client import Subscriber
from edge.commands.keys import add_keys, client_keys
from edge.commands.listen import losses, with_state
from edge.endpoints import DEFAULT_ENDPOINT
from edge.events import Envelope, Health
from edge.overview import Overview, heartbeat_line

EPILOG = """\
examples:
  earmark top                                       the daemon of this machine
  earmark top ipc:///run/earmark/events
  earmark top | tee -a daemon.log                   one line a heartbeat

Of each stream: its source, who speaks, the input's level, the lag from audio to events since the
last heartbeat (median, 99th percentile, longest), blocks that wait, audio lost as the daemon was
slow ('lost') and by the clock ('gaps'), the drift of the device's clock, what is left undone to
keep up ('shed', 0 to 2), and voices known. How often it changes is 'health_seconds' in the daemon's
configuration. Ctrl-C ends it."""
FRAME_SECONDS = 1 / 4


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "top",
        help="show live how a daemon and its streams are",
        description="Shows live how a daemon and its streams are.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "endpoint", nargs="?", default=DEFAULT_ENDPOINT, help="of the daemon (%(default)s)"
    )
    add_keys(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Show it until interrupted.

    Raises:
        EarmarkError: the endpoint is not one, or the keys are none.
    """
    with Subscriber(args.endpoint, keys=client_keys(args)) as events:
        envelopes = with_state(events, ("",), until_end=False)
        if sys.stdout.isatty():
            _draw(events, envelopes)
        else:
            _print(envelopes)
    return 0


def _print(envelopes: Iterator[Envelope | None]) -> None:
    overview = Overview()
    for envelope in envelopes:
        if envelope is not None:
            overview.apply(envelope)
            if isinstance(envelope.event, Health):
                print(
                    heartbeat_line(envelope.stream, overview.streams[envelope.stream]), flush=True
                )


def _draw(events: Subscriber, envelopes: Iterator[Envelope | None]) -> None:
    # Here, so that writing lines does without rich.
    from rich.live import Live  # noqa: PLC0415

    from edge.overview_view import OverviewView  # noqa: PLC0415

    overview = Overview()
    drawn_at = 0.0
    with Live(auto_refresh=False) as live:
        for envelope in envelopes:
            if envelope is not None:
                overview.apply(envelope)
            if time.monotonic() >= drawn_at + FRAME_SECONDS:
                live.update(OverviewView(overview, losses(events)), refresh=True)
                drawn_at = time.monotonic()
