"""The segment that is open: records of speech, and what their sums are so far."""

from __future__ import annotations

from edge.records import Hindsight, Record
from edge.statistics import Sums

NEAR = 3  # records


class OpenSegment:
    """Speech that goes on.

    Attributes:
        records: those with speech, in order.
        totals: statistics from its start to each of them.
        overlap: how probable it is of each that two spoke; of the newest it is not known yet, and
            taken to be as in the last of which it is.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.totals: list[Sums] = []
        self.overlap: list[float] = []

    def __len__(self) -> int:
        return len(self.records)

    @property
    def start(self) -> int:
        """Sample at which it begins."""
        return self.records[0].start

    @property
    def end(self) -> int:
        """Sample at which its last speech ends."""
        return self.records[-1].end

    def append(self, record: Record) -> None:
        """Go on by a record of speech."""
        self._append(record, self.overlap[-1] if self.overlap else 0.0)

    def amend(self, record: Record, hindsight: Hindsight) -> None:
        """Put a recent record in, or take it out, as is known better by now.

        The only record of a segment stays: what may have been shown has been somewhere.
        """
        later = []
        while self.records and self.records[-1].start > record.start:
            later.append(self._pop())
        present = bool(self.records) and self.records[-1].start == record.start
        if present:
            self._pop()
        if hindsight.speech or (present and not self.records and not later):
            self._append(record, hindsight.overlap)
        for newer in reversed(later):
            self._append(newer, hindsight.overlap)

    def pause_near(self, place: int) -> int:
        """The nearest place, a few records away at most, that is behind a pause; else `place`."""
        pauses = [
            near
            for near in range(max(1, place - NEAR), min(len(self), place + NEAR + 1))
            if self.records[near].start > self.records[near - 1].end
        ]
        return min(pauses, key=lambda near: abs(near - place), default=place)

    def split(self, place: int) -> OpenSegment:
        """Keep the records before `place`; returns a segment of the others."""
        newer = OpenSegment()
        for record, overlap in zip(self.records[place:], self.overlap[place:], strict=True):
            newer._append(record, overlap)
        del self.records[place:], self.totals[place:], self.overlap[place:]
        return newer

    def _append(self, record: Record, overlap: float) -> None:
        total = record.statistics + self.totals[-1] if self.totals else record.statistics
        self.records.append(record)
        self.totals.append(total)
        self.overlap.append(overlap)

    def _pop(self) -> Record:
        self.totals.pop()
        self.overlap.pop()
        return self.records.pop()
