"""Who of those known from elsewhere a voice is that was heard here. Pure.

Names are given to voices, not to stretches: stretches are told apart by what they have in common
here, and all that a voice has said is compared with what is known of each. So a stranger who is a
little like somebody enrolled is taken for them for a moment at most, and never mixed up with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from edge.encoder import Model
from edge.statistics import Sums
from edge.stretch import Stretch
from edge.tracker_config import HorizonConfig
from edge.voices import UNKNOWN, Voices, doubt


def recognise(
    model: Model,
    known: Voices,
    heard: Sequence[Sums],
    names: Sequence[str],
    config: HorizonConfig,
    *,
    settled: int,
) -> list[str | None]:
    """The name of each voice that is somebody known, None of all others.

    Nobody is two of them: who matches best comes first. In doubt a voice is called what it was.

    Args:
        model: embeds.
        known: those from elsewhere.
        heard: statistics of each voice (size,).
        names: what it was called, `unknown` if it is new.
        config: the thresholds.
        settled: so many of the first have said what is final, be it by a number.
    """
    found: list[str | None] = [None] * len(heard)
    if not heard or not known:
        return found
    sums = np.stack(heard)
    llrs = known.llrs(model.embed(sums), model.seconds(sums)) - doubt(len(known))
    order = [voice.name for voice in known]
    places = {name: place for place, name in enumerate(order)}
    for voice, name in enumerate(names):
        if name in places:
            llrs[voice, places[name]] += config.keep_llr
        elif voice < settled:
            llrs[voice] -= config.keep_llr
    llrs[sums[:, 0] <= 0.0] = -np.inf  # nothing was heard of it
    likely = np.flatnonzero(llrs >= config.known_llr)
    for place in likely[np.argsort(-llrs.flat[likely], kind="stable")]:
        voice, somebody = divmod(int(place), len(order))
        if found[voice] is None and order[somebody] not in found:
            found[voice] = order[somebody]
    return found


def called_before(
    model: Model, heard: Sequence[str], clusters: Sequence[Sequence[Stretch]]
) -> list[str]:
    """What voices were called; `unknown` if they are new.

    `heard`: the names of the first; another takes the name that most of its stretches had.
    """
    called = list(heard)
    for cluster in clusters[len(heard) :]:
        votes: Counter[str] = Counter()
        for stretch in cluster:
            if stretch.speaker != UNKNOWN and stretch.speaker not in called:
                votes[stretch.speaker] += round(1000 * float(model.seconds(stretch.statistics)))
        called.append(votes.most_common(1)[0][0] if votes else UNKNOWN)
    return called
