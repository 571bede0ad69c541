"""The meter of a live enrolment on a terminal, drawn with rich: level, speech gathered, hints."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from edge.findings import EnrolmentLimits, Likeness, examine
from edge.recorder import Reading

BAR_CELLS = 24
FLOOR_DB = -60.0  # where the bar is empty
HINT_SECONDS = 1.0  # of speech, before which nothing can be said of it


@dataclass
class MeterView:
    """Draws the latest reading, on one line. `target` is the speech wanted, in seconds."""

    name: str
    target: float
    reading: Reading | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The line, cut at the width of the terminal."""
        if self.reading is None:
            return
        level, quality = self.reading.level, self.reading.quality
        filled = round(BAR_CELLS * min(1.0, max(0.0, 1.0 - level / FLOOR_DB)))
        hints = self._hints(self.reading)
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append("█" * filled, style="red" if "clipping" in hints else "green")
        line.append("·" * (BAR_CELLS - filled), style="dim")
        line.append(f" {level:4.0f} dBFS  {quality.seconds:4.1f} of {self.target:g} s of speech  ")
        line.append(", ".join(hints), style="bold yellow")
        yield line

    def _hints(self, reading: Reading) -> list[str]:
        if reading.quality.seconds < HINT_SECONDS:
            return ["speak now"]
        findings = examine(self.name, reading.quality, Likeness(), EnrolmentLimits())
        return [finding.hint for finding in findings]
