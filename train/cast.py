"""Who can take part in a simulated talk: voices of which enough was recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from train.manifest import Utterance

SHORTEST_UTTERANCE = 1.5  # seconds: sentences, not words


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
