"""Two voices at once: where in a stretch the encoder hears them, and whose the second may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge.encoder import Model
from edge.events import Overlap
from edge.records import Record
from edge.scoring import Floats
from edge.statistics import Sums
from edge.voices import UNKNOWN, Voices

SMOOTHED = 5  # records whose probabilities are averaged: one alone says little
SHORTEST = 3  # records


@dataclass(frozen=True)
class Both:
    """Samples [start, end) in which two speak: their statistics (size,), and the embedding."""

    start: int
    end: int
    statistics: Sums
    embedding: Floats


def both_speak(
    model: Model, records: Sequence[Record], heard: Sequence[float], probability: float
) -> list[Both]:
    """Where two speak at once in the records of a stretch, by their start.

    Args:
        model: embeds.
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
    spans = [
        (first, last)
        for first, last in zip(edges[::2], edges[1::2], strict=True)
        if last - first >= SHORTEST
    ]
    if not spans:
        return []
    sums = [np.sum([r.statistics for r in records[first:last]], axis=0) for first, last in spans]
    return [
        Both(records[first].start, records[last - 1].end, statistics, embedding)
        for (first, last), statistics, embedding in zip(
            spans, sums, model.embed(np.stack(sums)), strict=True
        )
    ]


def second_voices(voices: Voices, both: Sequence[Both], speaker: str) -> tuple[Overlap, ...]:
    """Who talks besides `speaker`: the likeliest other voice, or `unknown` where there is none.

    Somebody enrolled is named only where the odds are for them.
    """
    if speaker == UNKNOWN or not both:
        return ()
    embeddings = np.stack([part.embedding for part in both])
    ranked = voices.rank_all(embeddings, np.stack([part.statistics for part in both]))
    others = [(score for score in scores if score.speaker != speaker) for scores in ranked]
    return tuple(
        Overlap(part.start, part.end, voices.likeliest(scores, 0.0))
        for part, scores in zip(both, others, strict=True)
    )
