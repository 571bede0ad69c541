"""What a recording of one speaker is good for: measured as it is heard, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.clustering import agglomerate
from edge.encoder import Model
from edge.gate import GateConfig
from edge.records import Record, RecordStream
from edge.statistics import Sums
from edge.tracker_config import TrackerConfig

SILENCE_DB = -100.0  # where levels end: below the steps of 16-bit samples
CLIPPED = 0.99  # of full scale: resampling moves the flat tops of a clipped wave a little
MIN_PAUSE_RECORDS = 3  # fewer tell nothing of the noise
PART_RECORDS = TrackerConfig().min_side  # of speech in a part at first
CHANGE_LLR = TrackerConfig().change_llr  # parts that match worse are two voices
MAX_PARTS = 64


@dataclass(frozen=True)
class Quality:
    """What was measured of a recording.

    `statistics` (size,) are those of its speech, none where there is none for sure, and `seconds`
    the net length of that. `level` is its RMS in dBFS, `clipped` the share of its samples at full
    scale, `snr` its level above that of the pauses, in dB; None where these are too short or empty.
    `second_voice` is the share of the speech that does not match the voice heard most; `overlap` is
    the mean probability, in it, of voices at once.
    """

    statistics: Sums
    seconds: float
    level: float
    clipped: float
    snr: float | None
    second_voice: float
    overlap: float


class QualityMeter:
    """Measures a recording block after block; the sizes of the blocks change nothing."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._records = RecordStream(model, GateConfig())
        self._waiting = np.empty(0, dtype=np.float32)  # samples that no record covers yet
        self._statistics = np.zeros(model.statistics_size)
        self._parts = _Parts()
        self._judged_parts = 0
        self._second_voice = 0.0
        self._samples = 0  # of speech
        self._clipped = 0
        self._energy = 0.0
        self._pauses = 0  # records
        self._pause_levels = 0.0  # their sum, dBFS

    def push(self, samples: NDArray[np.float32]) -> None:
        """Hear samples (n,), 16 kHz in [-1, 1]."""
        self._waiting = np.concatenate([self._waiting, samples])
        self._add(self._records.push(samples))

    def flush(self) -> None:
        """The recording ends here."""
        self._add(self._records.flush())

    def quality(self) -> Quality:
        """Of all that was heard so far."""
        if len(self._parts.sums) != self._judged_parts:  # live, this is asked for at every block
            self._judged_parts = len(self._parts.sums)
            self._second_voice = _second_voice(self._model, self._parts.sums)
        level = _decibels(self._energy, self._samples)
        statistics = self._statistics * (self._samples > 0)
        noise = self._pause_levels / self._pauses if self._pauses >= MIN_PAUSE_RECORDS else None
        return Quality(
            statistics=statistics,
            seconds=float(self._model.seconds(statistics)),
            level=level,
            clipped=self._clipped / max(1, self._samples),
            snr=level - noise if noise is not None else None,
            second_voice=self._second_voice,
            overlap=self._model.activity(statistics).later_overlap,
        )

    def _add(self, records: list[Record]) -> None:
        for record in records:
            count = record.end - record.start
            if not count:
                continue
            samples, self._waiting = self._waiting[:count], self._waiting[count:]
            energy = float(np.sum(samples.astype(np.float64) ** 2))
            if record.evidence:
                self._statistics += record.statistics
            if record.speech:
                self._parts.add(record.statistics)
                self._samples += count
                self._clipped += int(np.count_nonzero(np.abs(samples) >= CLIPPED))
                self._energy += energy
            elif energy:  # digital silence tells nothing of the noise
                self._pauses += 1
                # The mean of levels, not of powers: the tail of a word is no noise.
                self._pause_levels += _decibels(energy, count)


class _Parts:
    """Speech in parts of equal length, at most `MAX_PARTS`: then they are joined two by two."""

    def __init__(self) -> None:
        self.sums: list[Sums] = []
        self._length = PART_RECORDS
        self._open: Sums | float = 0.0
        self._count = 0  # records in the open part

    def add(self, statistics: Sums) -> None:
        self._open = self._open + statistics
        self._count += 1
        if self._count < self._length:
            return
        self.sums.append(self._open)
        self._open, self._count = 0.0, 0
        if len(self.sums) == MAX_PARTS:
            pairs = zip(self.sums[::2], self.sums[1::2], strict=True)
            self.sums = [first + second for first, second in pairs]
            self._length *= 2


def measure(model: Model, blocks: Iterable[NDArray[np.float32]]) -> Quality:
    """The quality of a recording of any length, given block after block."""
    meter = QualityMeter(model)
    for block in blocks:
        meter.push(block)
    meter.flush()
    return meter.quality()


def decibels(samples: NDArray[np.float32]) -> float:
    """RMS of samples (n,) in dBFS: a square wave of full scale has 0, silence -100."""
    return _decibels(float(np.sum(samples.astype(np.float64) ** 2)), len(samples))


def _decibels(energy: float, count: int) -> float:
    """Mean power of `count` samples, in dBFS."""
    power = energy / max(1, count)
    return max(SILENCE_DB, 10.0 * math.log10(power)) if power > 0.0 else SILENCE_DB


def _second_voice(model: Model, parts: list[Sums]) -> float:
    """Share of the parts that are not of the voice heard most."""
    rows = np.stack(parts)
    voices = agglomerate(model, rows, model.embed(rows), 0, odds=model.within, threshold=CHANGE_LLR)
    return 1.0 - max(map(len, voices)) / len(parts)
