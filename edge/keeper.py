"""Keeps what a stream knows on disk, so that no number is given twice, however the process ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edge import log
from edge.errors import EarmarkError
from edge.events import Event, Segment, SpeakerCreated, SpeakerMerged
from edge.pipeline import Pipeline
from edge.state import write_state

AHEAD = 1_000  # ids of segments that a killed daemon may have used since the last writing


class Keeper:
    """Writes the voices without a name, and the counts, of one stream to its file.

    A killed daemon leaves the last writing behind. So it is written before a new voice's number is
    published, and says that one more voice was given a number, because the next may be shown before
    it is given, and that more segments have begun than have: `AHEAD` of them can be published until
    it has to be written again. A daemon that ends as it should writes the true count. It is also
    written when a voice becomes part of another, or is enrolled: else it would come back beside it.
    """

    def __init__(self, path: Path, pipeline: Pipeline) -> None:
        self._path = path
        self._pipeline = pipeline
        self._reserved = 0  # ids below it are on disk as used

    def before(self, events: Sequence[Event]) -> None:
        """These are about to be published: keep what must be known should they be the last."""
        last = max((event.id for event in events if isinstance(event, Segment)), default=-1)
        voices = any(isinstance(event, SpeakerCreated | SpeakerMerged) for event in events)
        if voices or last >= self._reserved:
            self.keep(last=False)

    def keep(self, last: bool) -> None:
        """Write it all; `last` when nothing will follow. A full disk does not end the daemon."""
        state = self._pipeline.state()
        if not last:
            state = msgspec.structs.replace(
                state, named=state.named + 1, segments=state.segments + AHEAD
            )
        try:
            write_state(self._path, state)
            self._reserved = state.segments
        except EarmarkError as error:
            log.error("state.unwritten", str(error))
