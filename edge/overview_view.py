"""The overview on a terminal, drawn with rich: one row a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from edge.front_end import SAMPLE_RATE
from edge.overview import Overview, StreamState, figures, heartbeat_line, usage
from edge.printable import printable

QUIETEST, CELLS = -60.0, 12  # dBFS at the left end of the level's bar, and its width
ROOM = 1_000  # columns; more than any table takes
COLOURS = {"hearing": "green", "lost": "red", "waiting": "yellow", "ended": "dim"}


@dataclass
class OverviewView:
    """Draws an overview as it is at that moment; `note` stands under it."""

    overview: Overview
    note: str = ""

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """The streams, in their order of appearance; each in words where a row is too wide."""
        states = self.overview.streams
        latest = next((s for s in states.values() if s.health is not None), None)
        head = "waiting for a heartbeat" if latest is None else usage(latest)
        yield Text(f"{len(states)} stream{'s' * (len(states) != 1)}, {head}", style="bold")
        table = Table(box=None, pad_edge=False)
        for heading in ("stream", "source", "at", "who", "", *self._headings()):
            table.add_column(heading, no_wrap=True)
        for name, state in states.items():
            table.add_row(*_row(name, state))
        if console.measure(table, options=options.update(width=ROOM)).maximum <= options.max_width:
            yield table
        else:
            yield from (Text(_words(name, state)) for name, state in states.items())
        if self.note:
            yield Text(self.note, style="yellow")

    def _headings(self) -> list[str]:
        beats = (s.health for s in self.overview.streams.values() if s.health is not None)
        return next((list(figures(beat)) for beat in beats), [])


def _words(name: str, state: StreamState) -> str:
    if state.health is None:
        return f"{printable(name)}: {state.source}"
    return heartbeat_line(name, state).lstrip()


def _row(name: str, state: StreamState) -> list[Text]:
    health = state.health
    who = Text(state.speaker, style="bold")
    source = Text(state.source, style=COLOURS[state.source])
    if health is None:
        return [Text(printable(name)), source, Text(""), who]
    at = Text(f"{state.timeline.position / SAMPLE_RATE:.0f} s")
    values = [Text(value) for value in figures(health).values()]
    return [Text(printable(name)), source, at, who, _bar(health.level), *values]


def _bar(level: float | None) -> Text:
    """A level in dBFS as a bar from `QUIETEST` to 0."""
    share = 0.0 if level is None else max(0.0, min(1.0, 1.0 - level / QUIETEST))
    full = round(share * CELLS)
    return Text("█" * full + "·" * (CELLS - full), style="red" if share > 0.95 else "green")
