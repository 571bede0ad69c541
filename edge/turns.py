"""From events to who spoke when: the last word on every segment, as plain turns. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from edge.events import Event, Segment, SpeakerMerged, spoken
from edge.front_end import SAMPLE_RATE
from edge.rttm import Turn


def turns_from_events(events: Iterable[Event]) -> list[Turn]:
    """The turns that the events of one stream add up to, by their start.

    Of each segment its last revision counts; where two voices overlap, both have a turn. A merge
    renames all that the voice that is gone has said. Segments of one speaker that touch are one
    turn; any silence between them keeps them apart. A segment whose voice is nobody's is a turn of
    `unknown`.
    """
    segments: dict[int, Segment] = {}
    heirs: dict[str, str] = {}
    for event in events:
        match event:
            case Segment():
                known = segments.get(event.id)
                if known is None or event.rev >= known.rev:
                    segments[event.id] = event
            case SpeakerMerged() if event.speaker != event.into:
                heirs[event.speaker] = event.into
                # Who is merged into is there, whatever came before: heirs form no circle.
                heirs.pop(event.into, None)
    return _joined(
        (start, end, _heir(speaker, heirs))
        for segment in segments.values()
        for start, end, speaker in spoken(segment)
    )


def _heir(speaker: str, heirs: dict[str, str]) -> str:
    while speaker in heirs:
        speaker = heirs[speaker]
    return speaker


def _joined(stretches: Iterable[tuple[int, int, str]]) -> list[Turn]:
    """Turns in seconds of spans in samples, those of one speaker that touch made one."""
    joined: list[tuple[int, int, str]] = []
    latest: dict[str, int] = {}  # by speaker, where in `joined` their last turn is
    for start, end, speaker in sorted(span for span in stretches if span[1] > span[0]):
        at = latest.get(speaker)
        if at is not None and start <= joined[at][1]:
            joined[at] = (joined[at][0], max(end, joined[at][1]), speaker)
        else:
            latest[speaker] = len(joined)
            joined.append((start, end, speaker))
    return [
        Turn(start / SAMPLE_RATE, end / SAMPLE_RATE, speaker)
        for start, end, speaker in sorted(joined)
    ]
