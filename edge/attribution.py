"""Whose each stretch of speech is, the voices being known. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.encoder import Model
from edge.overlap import second_voices
from edge.scoring import Floats, directions, match_pairs
from edge.statistics import Sums
from edge.stretch import Stretch
from edge.tracker_config import HorizonConfig
from edge.voices import UNKNOWN, Voices, standing


def attribute(
    model: Model,
    stretches: Sequence[Stretch],
    voices: Voices,
    known: Voices,
    config: HorizonConfig,
) -> None:
    """Score stretches, in the order of time, against voices that they may be part of.

    One that is all that was heard of a voice is scored by what else is `known` of it.
    Those without a speaker take the likeliest. Whose the stretches beside one are, with no pause
    between, is likelier by `config.beside_llr`: most of what was cut out was cut out wrongly.
    """
    names = [voice.name for voice in voices]
    owner = np.array([names.index(s.speaker) if s.speaker in names else -1 for s in stretches])
    llrs = leave_one_out(
        model,
        np.stack([s.statistics for s in stretches]),
        np.stack([s.embedding for s in stretches]),
        voices,
        owner,
    )
    for place, (stretch, row) in enumerate(zip(stretches, llrs, strict=True)):
        if stretch.speaker in known.names and np.isneginf(row[owner[place]]):
            row[owner[place]] = known.llr(stretch.speaker, stretch.embedding, stretch.statistics)
        if stretch.speaker == UNKNOWN:
            beside = {
                near.speaker
                for near in stretches[max(0, place - 1) : place + 2]
                if max(near.start - stretch.end, stretch.start - near.end) <= model.record_samples
            }
            prior = config.beside_llr * np.isin(names, list(beside))
            stretch.speaker = voices.likeliest(voices.in_order(row + prior), config.known_llr)
        stretch.standing = standing(stretch.speaker, voices.in_order(row))
        stretch.overlaps = second_voices(voices, stretch.both, stretch.speaker)


def leave_one_out(
    model: Model,
    statistics: Sums,
    embeddings: Floats,
    voices: Voices,
    owner: NDArray[np.int64],
) -> Floats:
    """Llr (rows, voices) of stretches with voices; a voice that a stretch is part of is without it.

    Args:
        model: embeds.
        statistics: of the stretches (rows, size).
        embeddings: of these (rows, size).
        voices: with the stretches that they own; they score.
        owner: voice that each stretch is part of, or -1. Where it is all of that voice, the llr
            is minus infinity.
    """
    match = voices.match(embeddings)
    behind = np.tile(voices.seconds, (len(statistics), 1))
    rows = np.flatnonzero(owner >= 0)
    owned = rows, owner[rows]
    if len(rows):
        rest = np.stack([voices[place].statistics for place in owner[rows]]) - statistics[rows]
        rest[:, 0] = np.maximum(rest[:, 0], 0.0)
        own = match_pairs(directions(embeddings[rows]), directions(model.embed(rest)))
        match.cosines[owned], match.norms[owned] = own
        behind[owned] = model.seconds(rest)
    llrs = voices.weigh(match, model.seconds(statistics)[:, None], behind)
    llrs[owned] = np.where(behind[owned] > 0.0, llrs[owned], -np.inf)
    return llrs
