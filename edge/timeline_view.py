"""The timeline on a terminal, drawn with rich: one row a speaker, the last minute as a bar."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from edge.events import Segment
from edge.front_end import SAMPLE_RATE
from edge.printable import printable
from edge.timeline import Timeline, spans

WINDOW = 60 * SAMPLE_RATE
ROWS = 12
NAME_CELLS = 14
SPOKEN_CELLS, LLR_CELLS, ANSWER_CELLS = 9, 6, 7
OTHER_CELLS = 1 + NAME_CELLS + SPOKEN_CELLS + LLR_CELLS + ANSWER_CELLS + 5  # with the gaps
COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red", "bright_cyan", "bright_magenta")
MARKS = {"final": "█", "provisional": "▒"}


@dataclass
class TimelineView:
    """Draws a timeline as it is at that moment. `title` stands over it."""

    timeline: Timeline
    title: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The rows, as wide as the terminal."""
        timeline = self.timeline
        cells = max(10, min(120, options.max_width - OTHER_CELLS))
        end = max(timeline.position, WINDOW)
        current = timeline.current
        if self.title:
            yield Text(self.title, style="underline")
        yield _head(timeline, current)
        table = Table.grid(padding=(0, 1, 0, 0))
        for width in (1, NAME_CELLS, cells):
            table.add_column(width=width, no_wrap=True)
        for width in (SPOKEN_CELLS, LLR_CELLS):
            table.add_column(width=width, no_wrap=True, justify="right")
        table.add_column(width=ANSWER_CELLS, no_wrap=True)
        table.add_row("", "speaker", _axis(end, cells), "spoken", "llr", style="dim")
        for speaker, colour in _visible(timeline):
            own = [s for s in timeline.segments.values() if s.speaker == speaker]
            latest = max(own, key=lambda segment: segment.end, default=None)
            verdict = timeline.verdicts.get(latest.id) if latest else None
            speaks = current is not None and current.speaker == speaker
            table.add_row(
                Text("▶" if speaks else " ", style=colour),
                Text(printable(speaker), style=f"bold {colour}" if speaks else colour),
                _bar(own, end, cells, colour),
                f"{timeline.seconds(speaker):.1f} s",
                "" if latest is None or latest.llr is None else f"{latest.llr:+.1f}",
                verdict.answer if verdict else "",
            )
        yield table


def _head(timeline: Timeline, current: Segment | None) -> Text:
    state = "the end" if timeline.ended else "speech" if timeline.speaking else "silence"
    minutes, seconds = divmod(timeline.position / SAMPLE_RATE, 60)
    head = Text(f"{int(minutes):02d}:{seconds:04.1f}  ", style="bold")
    head.append(printable(current.speaker) if current else state, style="bold")
    return head


def _visible(timeline: Timeline) -> list[tuple[str, str]]:
    """The speakers to draw, with their colours: those heard last, in order of appearance."""
    last_heard = {s.speaker: s.end for s in timeline.segments.values()}
    colours = {s: COLOURS[i % len(COLOURS)] for i, s in enumerate(timeline.speakers)}
    recent = sorted(last_heard, key=lambda speaker: last_heard[speaker])[-ROWS:]
    return [(speaker, colour) for speaker, colour in colours.items() if speaker in recent]


def _axis(end: int, cells: int) -> Text:
    """The first and last second of the bars, at their ends."""
    left = f"{(end - WINDOW) / SAMPLE_RATE:.0f} s"
    return Text(left + f"{end / SAMPLE_RATE:.0f} s".rjust(cells - len(left)))


def _bar(segments: Iterable[Segment], end: int, cells: int, colour: str) -> Text:
    bar = Text(style=colour)
    for segment in spans(segments, end - WINDOW, end, cells):
        bar.append(
            "·" if segment is None else MARKS[segment.state], style="dim" if not segment else ""
        )
    return bar
