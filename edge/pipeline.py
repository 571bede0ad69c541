"""The pure core: 16 kHz audio in, events out. No thread, clock or socket, and no surprise.

The same audio gives the same events in the same order, whatever the block sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.encoder import Model
from edge.errors import EarmarkError
from edge.events import Event, SourceGap, SourceOverflow, SpeechStarted, SpeechStopped
from edge.gate import GateConfig
from edge.records import Record, RecordStream
from edge.scoring import OperatingPoint
from edge.state import State
from edge.statistics import Profile, Sums
from edge.tracker import Tracker
from edge.tracker_config import TrackerConfig
from edge.voices import Voice


@dataclass(frozen=True)
class PipelineConfig:
    """Settings of everything between samples and events."""

    gate: GateConfig = field(default_factory=GateConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    operating_point: OperatingPoint = field(default_factory=OperatingPoint)


class Pipeline:
    """One stream, from its first sample to its last."""

    def __init__(self, model: Model, profiles: Sequence[Profile], config: PipelineConfig) -> None:
        self.config = config
        self.position = 0  # samples since the stream began, lost ones included
        self._model = model
        self._tracker = Tracker(model, profiles, config.tracker, config.operating_point)
        self._records = self._fresh_records()
        self._speaking = False

    @property
    def speakers(self) -> int:
        """Voices known at present, enrolled ones included."""
        return len(self._tracker.voices)

    @property
    def shedding(self) -> int:
        """What is left undone to keep up: the level of `edge.overload.Ladder`."""
        return self._tracker.shedding

    @shedding.setter
    def shedding(self, level: int) -> None:
        self._tracker.shedding = level

    def state(self) -> State:
        """The voices without a name, for the pipeline of the next run."""
        return self._tracker.state()

    def restore(self, state: State, *, elsewhere: bool) -> None:
        """Before the first sample: go on with the voices of an earlier run.

        `elsewhere`: it heard another recording, in another room or over another line.
        """
        self._tracker.restore(state, elsewhere)

    def voice(self, name: str) -> Voice | None:
        """The voice that goes by a name at present, if there is one."""
        return self._tracker.voice(name)

    def speech_in(self, segment: int) -> Sums | None:
        """Statistics (size,) of a segment that is not final yet, by its id; None if none is."""
        return self._tracker.speech_in(segment)

    def reload(self, profiles: Sequence[Profile], moved: Mapping[str, str]) -> list[Event]:
        """Others are enrolled from now on; `moved` gives the new names of voices that go on."""
        return self._tracker.reload(profiles, moved, self.position)

    def reconfigure(self, config: PipelineConfig) -> None:
        """Other settings from now on; the gate's detector is the one that there is."""
        self.config = config
        self._records.reconfigure(config.gate)
        self._tracker.reconfigure(config.tracker, config.operating_point)

    def push(self, samples: NDArray[np.float32]) -> list[Event]:
        """Events that the samples (n,), float32 at 16 kHz in [-1, 1], bring about."""
        self.position += len(samples)
        return self._listen(self._records.push(samples))

    def skip(self, count: int, cause: type[SourceGap | SourceOverflow]) -> list[Event]:
        """`count` samples were lost: what was open ends, and the positions go on behind the gap."""
        if count <= 0:
            raise EarmarkError(f"a gap has at least one sample, got {count}", "Report this")
        events = self.flush()
        start = self.position
        self.position += count
        self._records = self._fresh_records()
        return [*events, cause(start, self.position)]

    def flush(self) -> list[Event]:
        """The audio ends or breaks off here: the last events of what was open."""
        events = self._listen(self._records.flush())
        events += self._tracker.finish()
        if self._speaking:
            self._speaking = False
            events.append(SpeechStopped(self.position))
        self._records = self._fresh_records()
        return events

    def _fresh_records(self) -> RecordStream:
        return RecordStream(self._model, self.config.gate, self.position)

    def _listen(self, records: list[Record]) -> list[Event]:
        events: list[Event] = []
        for record in records:
            if record.speech != self._speaking:
                self._speaking = record.speech
                change = SpeechStarted if record.speech else SpeechStopped
                events.append(change(record.start))
            events += self._tracker.push(record)
        return events
