"""Who can take part in a simulated talk: voices of which enough was recorded."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence, Sized
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from train.manifest import Utterance

SHORTEST_UTTERANCE = 1.5  # seconds: sentences, not words
NUMBERED = "common_voice"  # the corpus whose clips bear numbers that rise with time, as a whole
NEAR = 1000  # numbers between clips of one sitting, at most


def voices_by_corpus(
    utterances: Sequence[Utterance], least: float
) -> dict[str, dict[str, list[int]]]:
    """By corpus and by speaker of more than `least` seconds, the places in `utterances` of what
    they said.
    """
    chosen = [i for i, u in enumerate(utterances) if u.speaker and u.seconds > SHORTEST_UTTERANCE]
    seconds: dict[str, float] = defaultdict(float)
    for i in chosen:
        seconds[utterances[i].speaker] += utterances[i].seconds
    corpora: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i in chosen:
        utterance = utterances[i]
        if seconds[utterance.speaker] > least:
            corpora[utterance.corpus][utterance.speaker].append(i)
    return {corpus: dict(corpora[corpus]) for corpus in sorted(corpora)}


def casting_chances(corpora: Sequence[Sized]) -> NDArray[np.float64]:
    """How often voices are taken from each corpus: as the square root of how many it has."""
    sizes = np.sqrt([len(voices) for voices in corpora])
    chances: NDArray[np.float64] = sizes / sizes.sum()
    return chances


def of_one_sitting(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Of every speaker the utterances of one sitting, that of most speech, in their order.

    Nobody changes their microphone in a meeting. Who speaks in Common Voice often does, from day
    to day: clips with near numbers have a cosine of 0.6, others of 0.45. Those of other corpora
    count as of one sitting.
    """
    clips: dict[str, list[tuple[int, Utterance]]] = defaultdict(list)
    for utterance in utterances:
        clips[utterance.speaker].append((_number(utterance), utterance))
    chosen = set()
    for own in clips.values():
        own.sort(key=lambda clip: clip[0])
        sittings = [[own[0][1]]]
        for (before, _), (number, utterance) in pairwise(own):
            if number - before > NEAR:
                sittings.append([])
            sittings[-1].append(utterance)
        longest = max(sittings, key=lambda sitting: sum(u.seconds for u in sitting))
        chosen |= {u.path for u in longest}
    return [u for u in utterances if u.path in chosen]


def _number(utterance: Utterance) -> int:
    """Of a clip of Common Voice, `LANGUAGE_NUMBER`; 0 where there is none."""
    found = re.search(r"_(\d+)$", utterance.path.stem)
    return int(found[1]) if found and utterance.corpus == NUMBERED else 0
