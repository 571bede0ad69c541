"""Two voices at once: where in a stretch the encoder hears them, and whose the second may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge.encoder import Model
from edge.events import Overlap
from edge.records import Record
from edge.speakers import UNKNOWN, Voice, likeliest, rank
from edge.statistics import Sums

SMOOTHED = 5  # records whose probabilities are averaged: one alone says little
SHORTEST = 3  # records


@dataclass(frozen=True)
class Both:
    """Samples [start, end) in which two speak, and their statistics (size,)."""

    start: int
    end: int
    statistics: Sums


def both_speak(records: Sequence[Record], heard: Sequence[float], probability: float) -> list[Both]:
    """Where two speak at once in the records of a stretch, by their start.

    Args:
        records: those of the stretch.
        heard: how probable it is, in the hindsight of each, that two spoke.
        probability: the least mean over half a second that is taken for overlap.
    """
    if len(heard) < SHORTEST or max(heard) < probability:
        return []
    width = np.ones(min(SMOOTHED, len(heard)))
    smooth = np.convolve(heard, width, mode="same") / np.convolve(
        np.ones(len(heard)), width, mode="same"
    )
    marked = np.concatenate([[False], smooth >= probability, [False]])
    edges = np.flatnonzero(marked[1:] != marked[:-1])
    return [
        Both(
            records[first].start,
            records[last - 1].end,
            np.sum([record.statistics for record in records[first:last]], axis=0),
        )
        for first, last in zip(edges[::2], edges[1::2], strict=True)
        if last - first >= SHORTEST
    ]


def second_voices(
    model: Model, voices: Sequence[Voice], both: Sequence[Both], speaker: str
) -> tuple[Overlap, ...]:
    """Who talks besides `speaker`: the likeliest other voice, or `unknown` where there is none.

    Somebody enrolled is named only where the odds are for them.
    """
    if speaker == UNKNOWN:
        return ()
    others = [voice for voice in voices if voice.name != speaker]
    ranked = [(part, rank(model, others, part.statistics)) for part in both]
    return tuple(
        Overlap(part.start, part.end, likeliest(others, scores, 0.0)) for part, scores in ranked
    )
