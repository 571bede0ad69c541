"""`earmark listen`: a subscriber that shows a live timeline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import count
from typing import Any

from edge.client import Subscriber
from edge.commands.keys import add_keys, client_keys
from edge.endpoints import DEFAULT_ENDPOINT
from edge.events import Envelope, encode, topic
from edge.overview import Overview
from edge.show import show

EPILOG = """\
examples:
  earmark listen                                    the daemon of this machine
  earmark listen ipc:///tmp/earmark.sock --json | jq .event
  earmark listen tcp://kitchen.local:7707 --curve laptop.keys --server 5d0a...
  earmark listen --topic mic/segment --topic mic/verdict

On a terminal it draws; into a pipe it writes one line an event. It begins with how things stand,
except with --json, which is the events from now on alone; none is lost. Ctrl-C ends it."""
TICKS_PER_SECOND = 8
PATIENCE = 2  # seconds without an answer before that is told
NO_ANSWER = (
    "no daemon has answered yet; see whether 'earmark run' is at that endpoint, whether that is "
    "where its events are JSON ('endpoint' in its configuration, not 'msgpack'), and whether it "
    "wants keys and allows yours (--curve, --server)"
)


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "listen",
        help="show live who speaks, from a daemon's events",
        description="Subscribes to a daemon and shows who speaks, as it happens.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "endpoint", nargs="?", default=DEFAULT_ENDPOINT, help="of the daemon (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="the events as JSON, one a line")
    parser.add_argument(
        "--topic", action="append", metavar="PREFIX", help="only such topics, as 'mic/segment'"
    )
    parser.add_argument(
        "--until-end", action="store_true", help="leave when all streams have ended"
    )
    add_keys(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Follow the events until interrupted, or until all streams end if so asked.

    Raises:
        EarmarkError: the endpoint is not one, or the keys are none.
    """
    topics = tuple(args.topic or [""])
    with Subscriber(args.endpoint, keys=client_keys(args)) as events:
        print(f"earmark: listening at {args.endpoint}", file=sys.stderr)
        try:
            if args.json:
                _print_json(follow(events, topics, args.until_end))
            else:
                show(with_state(events, topics, args.until_end), lambda: losses(events))
        finally:
            if lost := losses(events):
                print(f"earmark: {lost}", file=sys.stderr)
    return 0


def follow(
    events: Subscriber, topics: tuple[str, ...], until_end: bool
) -> Iterator[Envelope | None]:
    """The envelopes under `topics` as they come, and None a few times a second between them."""
    yield from _until_joined(events)
    overview = Overview()
    for envelope in events.state:  # there may be streams that have said all they say for long
        overview.apply(envelope)
    while not (until_end and overview.ended):
        received = events.receive(1 / TICKS_PER_SECOND)
        if received is not None:
            overview.apply(received)
        if received is None or topic(received).decode().startswith(topics):
            yield received


def with_state(
    events: Subscriber, topics: tuple[str, ...], until_end: bool
) -> Iterator[Envelope | None]:
    """What was before, so that the picture is whole, and then what follows."""
    yield from _until_joined(events)
    yield from (e for e in events.state if topic(e).decode().startswith(topics))
    yield from follow(events, topics, until_end)


def _until_joined(events: Subscriber) -> Iterator[None]:
    """None a few times a second until the daemon has answered; that it does not is told once."""
    for tick in count(1):
        if events.join(1 / TICKS_PER_SECOND):
            return
        if tick == PATIENCE * TICKS_PER_SECOND:
            print(f"earmark: {NO_ANSWER}", file=sys.stderr)
        yield None


def _print_json(envelopes: Iterator[Envelope | None]) -> None:
    for envelope in envelopes:
        if envelope is not None:
            print(encode(envelope).decode(), flush=True)


def losses(events: Subscriber) -> str:
    """What did not come, for people; empty if all is well."""
    parts = []
    if events.missed:
        parts.append(f"{events.missed} events missed")
    if events.malformed:
        parts.append(f"{events.malformed} messages are not of this version of Earmark")
    return ", ".join(parts)
