"""For which voices there is room, where so many at most may be without a name. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from edge.encoder import Model
from edge.speakers import SpeakerBook
from edge.stretch import Stretch


class Room(NamedTuple):
    """The clusters that stay, by their places, and the names of voices that are forgotten."""

    places: list[int]
    gone: set[str]


def room_for(
    model: Model,
    book: SpeakerBook,
    clusters: Sequence[Sequence[Stretch]],
    found: Sequence[str | None],
    *,
    most: int,
    borne: Collection[str],
) -> Room:
    """Make room for new clusters that are nobody known, who said most first.

    Idle voices without a name are forgotten for them, who were heard least.

    Args:
        model: tells how much was said.
        book: the voices that are known.
        clusters: stretches by voice, first those of all that were heard before.
        found: who of the known each cluster is.
        most: voices without a name, carried over or heard.
        borne: names that stretches have which may still change: those stay.
    """
    heard = book.heard
    fresh = [i for i, name in enumerate(found) if i >= len(heard) and name is None]
    carried = {voice.name for voice in book.known if not voice.enrolled}
    settled = list(zip(heard, clusters, found, strict=False))
    nameless = len(carried) + sum(name is None for _, _, name in settled)
    lacking = len(fresh) + nameless - most
    gone = set[str]()
    if lacking > 0:
        idle = {voice.name for voice, own, name in settled if not own and name is None}
        idle = (idle | carried - {*found}) - book.enrolled - {*borne}
        free = [voice for voice in book.voices if voice.name in idle]
        free.sort(key=lambda voice: float(model.seconds(voice.statistics)))
        gone = {voice.name for voice in free[:lacking]}
        fresh = fresh[: max(0, len(fresh) - lacking + len(gone))]
    places = [
        i
        for i, name in enumerate(found)
        if (heard[i].name not in gone if i < len(heard) else name is not None or i in fresh)
    ]
    return Room(places, gone)
