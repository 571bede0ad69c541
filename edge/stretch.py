"""A segment whose end is known, while its speaker may still change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge.events import Overlap, Segment
from edge.overlap import Both
from edge.scoring import Floats
from edge.statistics import Sums
from edge.voices import UNKNOWN, Standing


@dataclass
class Stretch:
    """A closed segment within the horizon. Positions in samples; statistics embedded."""

    id: int
    rev: int
    start: int
    end: int
    statistics: Sums
    embedding: Floats
    speaker: str = UNKNOWN
    standing: Standing = field(default_factory=Standing)
    both: Sequence[Both] = ()  # where two speak at once
    overlaps: tuple[Overlap, ...] = ()  # and whose the second voice is

    def event(self, final: bool) -> Segment:
        """The stretch as it is now, for subscribers."""
        return Segment(
            id=self.id,
            rev=self.rev,
            state="final" if final else "provisional",
            speaker=self.speaker,
            start=self.start,
            end=self.end,
            llr=self.standing.llr,
            runner_up=self.standing.runner_up,
            margin=self.standing.margin,
            overlaps=self.overlaps,
        )
