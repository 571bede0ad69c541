"""Audio to records: the encoder's statistics of every tenth of a second, with the gate's mark."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.encoder import EncoderStream, Model
from edge.gate import FRAME, Gate, GateConfig
from edge.statistics import Sums

# Probability of speech from which a record tells of a voice: a tenth of a second of which it is in
# doubt is often the end of a word. On held-out speakers 1.5 s of audio have an EER of 3.6 % by it,
# for 4.1 % by surer speech alone; with less still, noise would be taken for a voice.
EVIDENCE = 0.3


@dataclass(frozen=True)
class Hindsight:
    """What is known by now of the record `afterthought` before: whether there was speech in it,
    and how probable it is that two spoke at once.
    """

    speech: bool
    overlap: float


@dataclass(frozen=True)
class Record:
    """Statistics of the samples [start, end), and whether there is speech in them.

    Speech is what the gate and the encoder take for it, both or the one that is chosen: at once,
    and in the hindsight of a later record. Evidence is what counts where the question is whose
    voice it is, not when: speech, and what may well be.
    """

    start: int
    end: int
    speech: bool
    evidence: bool
    statistics: Sums
    hindsight: Hindsight


class RecordStream:
    """One unbroken stretch of audio through encoder and gate; the same records for any blocks."""

    def __init__(self, model: Model, gate: GateConfig, start: int = 0) -> None:
        """`start` is the stream position of the first sample that will be pushed."""
        self._model = model
        self._encoder = EncoderStream(model)
        self._config = gate
        self._gate = Gate(gate)
        self._length = model.record_samples
        self._delay = model.delay
        self._start = start
        self._pushed = 0  # samples
        self._made = 0  # records
        self._marks = np.empty(0, dtype=bool)  # of the frames from `_marks_start` on
        self._marks_start = 0
        self._waiting: list[NDArray[np.float32]] = []
        self._marked = deque([False], model.spec.afterthought + 1)  # by the gate, of the latest

    def reconfigure(self, gate: GateConfig) -> None:
        """Other settings from the next record on, with the detector that there is."""
        self._config = gate
        self._gate.reconfigure(gate)

    def push(self, samples: NDArray[np.float32]) -> list[Record]:
        """The records that the samples (n,), 16 kHz in [-1, 1], complete."""
        self._pushed += len(samples)
        if self._config.detector != "neural":
            self._marks = np.concatenate([self._marks, self._gate.push(samples)])
        self._waiting.extend(self._encoder.push(samples))
        records = []
        while self._waiting and self._is_marked():
            records.append(self._next())
        return records

    def flush(self) -> list[Record]:
        """The records that remain at the end of the audio; the last one ends with it."""
        total = self._pushed
        end = self._start + total
        silence = np.zeros(self._delay + 4 * self._length, dtype=np.float32)
        records = self.push(silence)
        self._pushed = total
        return [replace(r, end=min(r.end, end)) for r in records if r.start < end]

    @property
    def _end(self) -> int:
        """Sample, counted from `_start`, at which the next record ends."""
        return (self._made + 1) * self._length - self._delay

    def _is_marked(self) -> bool:
        """Whether the gate has come as far as the next record."""
        heard = self._marks_start + len(self._marks)
        return self._config.detector == "neural" or self._end // FRAME <= heard

    def _next(self) -> Record:
        begin = self._end - self._length
        first = max(0, begin // FRAME) - self._marks_start
        last = max(first + 1, self._end // FRAME - self._marks_start)
        statistics = self._waiting.pop(0).astype(np.float64)
        detector = self._config.detector
        self._marked.append(detector == "neural" or bool(self._marks[first:last].mean() >= 0.5))
        speech, earlier = self._marked[-1] and self._end > 0, self._marked[0]
        evidence = speech
        activity = self._model.activity(statistics)
        if detector != "webrtc":
            least = self._config.speech_probability
            evidence = speech and activity.speech >= min(EVIDENCE, least)
            speech = speech and activity.speech >= least
            earlier = earlier and activity.later_speech >= least
        record = Record(
            start=self._start + max(0, begin),
            end=self._start + max(0, self._end),
            speech=speech,
            evidence=evidence,
            statistics=statistics,
            hindsight=Hindsight(earlier, activity.later_overlap),
        )
        self._made += 1
        done = max(0, self._end - self._length) // FRAME - self._marks_start
        self._marks = self._marks[done:]
        self._marks_start += done
        return record


def iter_records(
    model: Model, gate: GateConfig, blocks: Iterable[NDArray[np.float32]]
) -> Iterator[Record]:
    """Every record of a recording of any length, given block after block."""
    stream = RecordStream(model, gate)
    for block in blocks:
        yield from stream.push(block)
    yield from stream.flush()


def all_records(model: Model, gate: GateConfig, samples: NDArray[np.float32]) -> list[Record]:
    """Every record of a recording that is at hand as a whole."""
    return list(iter_records(model, gate, [samples]))
