"""Shows events as they come: a live picture on a terminal, lines where standard output is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable

from edge.events import Envelope
from edge.timeline import Timeline, plain_line

FRAME_SECONDS = 1 / 8


def show(envelopes: Iterable[Envelope | None], note: Callable[[], str]) -> Timeline:
    """Show envelopes until there are no more, and return what they added up to.

    Args:
        envelopes: None where none came for a moment, so that the picture stays fresh.
        note: a line for the foot of the picture; empty for none.
    """
    return (_draw if sys.stdout.isatty() else _print)(envelopes, note)


def _print(envelopes: Iterable[Envelope | None], note: Callable[[], str]) -> Timeline:
    timeline = Timeline()
    for envelope in envelopes:
        if envelope is not None:
            timeline.apply(envelope)
            line = plain_line(envelope.event)
            if line is not None:
                print(line, flush=True)
    return timeline


def _draw(envelopes: Iterable[Envelope | None], note: Callable[[], str]) -> Timeline:
    # Here, so that writing lines or JSON does without rich.
    from rich.live import Live  # noqa: PLC0415

    from edge.timeline_view import TimelineView  # noqa: PLC0415

    timeline = Timeline()
    view = TimelineView(timeline)
    drawn_at = 0.0
    with Live(view, auto_refresh=False) as live:
        for envelope in envelopes:
            if envelope is not None:
                timeline.apply(envelope)
            if time.monotonic() >= drawn_at + FRAME_SECONDS:
                view.note = note()
                live.refresh()
                drawn_at = time.monotonic()
    return timeline
