"""Shows events as they come: a live picture on a terminal, lines where standard output is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable

from edge.events import Envelope
from edge.printable import printable
from edge.timeline import Timeline, plain_line

FRAME_SECONDS = 1 / 8


def show(envelopes: Iterable[Envelope | None], note: Callable[[], str]) -> dict[str, Timeline]:
    """Show envelopes until there are no more, and return what each stream's added up to.

    Args:
        envelopes: None where none came for a moment, so that the picture stays fresh.
        note: a line for the foot of the picture; empty for none.
    """
    return (_draw if sys.stdout.isatty() else _print)(envelopes, note)


def _print(envelopes: Iterable[Envelope | None], note: Callable[[], str]) -> dict[str, Timeline]:
    timelines: dict[str, Timeline] = {}
    for envelope in envelopes:
        if envelope is not None:
            timelines.setdefault(envelope.stream, Timeline()).apply(envelope)
            line = plain_line(envelope.event)
            if line is not None:
                print(f"{printable(envelope.stream)}: {line}", flush=True)
    return timelines


def _draw(envelopes: Iterable[Envelope | None], note: Callable[[], str]) -> dict[str, Timeline]:
    # Here, so that writing lines or JSON does without rich.
    from rich.console import Group  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    from edge.timeline_view import TimelineView  # noqa: PLC0415

    timelines: dict[str, Timeline] = {}
    drawn_at = 0.0
    with Live(auto_refresh=False) as live:
        for envelope in envelopes:
            if envelope is not None:
                timelines.setdefault(envelope.stream, Timeline()).apply(envelope)
            if time.monotonic() >= drawn_at + FRAME_SECONDS:
                several = len(timelines) > 1
                views = [
                    TimelineView(timeline, printable(name) if several else "")
                    for name, timeline in timelines.items()
                ]
                live.update(Group(*views, note()), refresh=True)
                drawn_at = time.monotonic()
    return timelines
