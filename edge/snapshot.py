"""What the events so far add up to, as the few of them that still tell it. Pure and bounded."""

from __future__ import annotations

from collections import defaultdict
from typing import TypeVar

import msgspec

from edge.events import (
    MAX_PROVISIONAL,
    Envelope,
    Event,
    Segment,
    SpeakerCreated,
    SpeakerMerged,
    Verdict,
    renamed,
)

MAX_SPEAKERS = 100
MAX_SEGMENTS = 4_096  # of all streams: what tells of them is to fit into one reply

K = TypeVar("K")


class Present:
    """The present state of all streams of a session, brought forward by `apply`.

    Whoever applies `envelopes()` to an empty timeline, knows what a subscriber from the beginning
    knows: of each stream the last event of every kind, the last segments in their latest revision
    with their verdicts, and the speakers.
    """

    def __init__(self) -> None:
        self._streams: defaultdict[str, _Stream] = defaultdict(_Stream)

    @property
    def streams(self) -> list[str]:
        """Their names, in order of appearance."""
        return list(self._streams)

    def apply(self, envelope: Envelope) -> None:
        """Take one event in."""
        self._streams[envelope.stream].apply(envelope)

    def envelopes(self) -> list[Envelope]:
        """What still tells something, in the order of `seq`; verdicts follow their segments."""
        most = MAX_SEGMENTS // max(1, len(self._streams))
        found = [e for stream in self._streams.values() for e in stream.envelopes(most)]
        return sorted(found, key=lambda e: (isinstance(e.event, Verdict), e.seq))


class _Stream:
    def __init__(self) -> None:
        self._latest: dict[type, Envelope] = {}
        self._segments: dict[int, Envelope] = {}
        self._verdicts: dict[int, Envelope] = {}
        self._speakers: dict[str, Envelope] = {}

    def apply(self, envelope: Envelope) -> None:
        event = envelope.event
        match event:
            case Segment():
                _put(self._segments, event.id, envelope, MAX_PROVISIONAL)
            case Verdict():
                _put(self._verdicts, event.segment, envelope, MAX_PROVISIONAL)
            case SpeakerCreated():
                _put(self._speakers, event.speaker, envelope, MAX_SPEAKERS)
            case SpeakerMerged():
                self._merge(event)
            case _:
                self._latest[type(event)] = envelope

    def envelopes(self, most: int) -> list[Envelope]:
        """With the last `most` segments, and whichever others may still change."""
        settled = [key for key, e in self._segments.items() if _is_final(e.event)]
        segments = self._segments.copy()
        for key in settled[: max(0, len(segments) - most)]:
            del segments[key]
        verdicts = [e for segment, e in self._verdicts.items() if segment in segments]
        return [
            *self._latest.values(),
            *self._speakers.values(),
            *segments.values(),
            *verdicts,
        ]

    def _merge(self, event: SpeakerMerged) -> None:
        self._speakers.pop(event.speaker, None)
        for key, envelope in self._segments.items():
            segment = envelope.event
            if isinstance(segment, Segment):
                merged = renamed(segment, event.speaker, event.into)
                self._segments[key] = msgspec.structs.replace(envelope, event=merged)


def _is_final(event: Event) -> bool:
    return isinstance(event, Segment) and event.state == "final"


def _put(entries: dict[K, Envelope], key: K, envelope: Envelope, limit: int) -> None:
    """Write an entry; the one that was written first goes when there are too many."""
    entries[key] = envelope
    if len(entries) > limit:
        del entries[next(iter(entries))]
