"""Recording a speaker live: the audio of a source, judged while it comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge.encoder import Model
from edge.errors import EarmarkError
from edge.quality import Quality, QualityMeter, decibels
from edge.resample import Resampler
from edge.sources import Source


@dataclass(frozen=True)
class Reading:
    """What a person who speaks should see: the level at present (dBFS), and all so far."""

    level: float
    quality: Quality


def record(source: Source, model: Model, seconds: float) -> Iterator[Reading]:
    """A reading for each block of a source, until it has given so many seconds of speech.

    Raises:
        EarmarkError: the source failed, or audio was lost.
    """
    meter = QualityMeter(model)
    resampler = Resampler(source.rate)
    for block in source.blocks():
        if lost := block.gap + block.lost:
            raise EarmarkError(
                f"{source.name}: {lost} samples were lost; nothing was changed",
                "The machine, or the microphone, was too busy to hear them: try again",
            )
        meter.push(resampler.push(block.samples))
        reading = Reading(decibels(block.samples), meter.quality())
        yield reading
        if reading.quality.seconds >= seconds:
            return
