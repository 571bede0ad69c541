"""What a subscriber knows of a stream: its recent segments, speakers and verdicts. Pure.

Memory is bounded: segments older than the horizon leave, and only their seconds are kept.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.events import (
    Envelope,
    Event,
    Health,
    Segment,
    SourceGap,
    SourceLost,
    SourceOpened,
    SourceOverflow,
    SourceRestored,
    SpeakerCreated,
    SpeakerMerged,
    SpeechStarted,
    SpeechStopped,
    Verdict,
    format_words,
    renamed,
    spoken,
)
from edge.front_end import SAMPLE_RATE
from edge.printable import printable

HORIZON = 600 * SAMPLE_RATE
MAX_SEGMENTS = 5_000
MAX_SPEAKERS = 100
FRESH = 2 * SAMPLE_RATE


class Timeline:
    """The state of one stream, brought forward by `apply`.

    Attributes:
        segments: by id, in the order in which they began; each in its latest revision.
        speakers: everyone heard, in order of appearance; the value is the seconds of those
            segments that have left the horizon. A name that was only a guess, and which no
            segment bears any more, is not among them.
        verdicts: the latest on each of the segments.
        position: samples at 16 kHz since the stream began.
        speaking: whether the speech gate is open.
        health: the last heartbeat.
    """

    def __init__(self, horizon: int = HORIZON) -> None:
        self.horizon = horizon
        self._session: str | None = None
        self._clear()

    def _clear(self) -> None:
        self.segments: dict[int, Segment] = {}
        self.speakers: dict[str, float] = {}
        self._created: set[str] = set()  # of them, the voices that came to be
        self.verdicts: dict[int, Verdict] = {}
        self.position = 0
        self.speaking = False
        self.health: Health | None = None

    @property
    def ended(self) -> bool:
        """Whether the stream is over."""
        return self.health is not None and self.health.final

    @property
    def current(self) -> Segment | None:
        """What is being said now: the latest segment, while the gate is open and if it is fresh."""
        latest = max(self.segments.values(), key=lambda segment: segment.end, default=None)
        if latest is None or not self.speaking or latest.end < self.position - FRESH:
            return None
        return latest

    def seconds(self, speaker: str) -> float:
        """Seconds that a speaker has spoken in this session."""
        samples = sum(
            end - start
            for segment in self.segments.values()
            for start, end, name in spoken(segment)
            if name == speaker
        )
        return self.speakers.get(speaker, 0.0) + samples / SAMPLE_RATE

    def apply(self, envelope: Envelope) -> None:
        """Take one event in. A new session begins a new timeline."""
        if envelope.session != self._session:
            self._clear()
            self._session = envelope.session
        self.position = max(self.position, envelope.sample)
        self._apply(envelope.event)
        self._forget()

    def _apply(self, event: Event) -> None:
        match event:
            case Segment():
                self._put(event)
            case SpeakerCreated():
                self.speakers.setdefault(event.speaker, 0.0)
                self._created.add(event.speaker)
            case SpeakerMerged():
                self._merge(event)
            case SpeechStarted():
                self.speaking = True
            case SpeechStopped() | SourceLost():
                self.speaking = False
            case Verdict() if event.segment in self.segments:
                self.verdicts[event.segment] = event
            case Health():
                self.health = event

    def _put(self, segment: Segment) -> None:
        known = self.segments.get(segment.id)
        too_old = segment.end < self.position - self.horizon
        if too_old or (known is not None and known.rev >= segment.rev):
            return
        self.segments[segment.id] = segment
        for _, _, speaker in spoken(segment):
            self.speakers.setdefault(speaker, 0.0)
        if known is not None:
            for name in _names(known) - self._created:
                if not self.speakers[name] and name not in self._heard():
                    del self.speakers[name]

    def _heard(self) -> set[str]:
        """Who speaks in the segments."""
        return {name for segment in self.segments.values() for name in _names(segment)}

    def _merge(self, event: SpeakerMerged) -> None:
        gone = self.speakers.pop(event.speaker, 0.0)
        self._created.discard(event.speaker)
        self.speakers[event.into] = self.speakers.get(event.into, 0.0) + gone
        for key, segment in self.segments.items():
            self.segments[key] = renamed(segment, event.speaker, event.into)

    def _forget(self) -> None:
        while self.segments:
            segment = next(iter(self.segments.values()))
            if segment.end >= self.position - self.horizon and len(self.segments) <= MAX_SEGMENTS:
                break
            del self.segments[segment.id]
            self.verdicts.pop(segment.id, None)
            for start, end, speaker in spoken(segment):
                self.speakers[speaker] += (end - start) / SAMPLE_RATE
        if len(self.speakers) > MAX_SPEAKERS + len(self.segments):
            heard = self._heard()
            self.speakers = {
                name: spoken
                for k, (name, spoken) in enumerate(self.speakers.items())
                if name in heard or k >= len(self.speakers) - MAX_SPEAKERS
            }
            self._created &= self.speakers.keys()


def _names(segment: Segment) -> set[str]:
    """Who speaks in a segment."""
    return {name for _, _, name in spoken(segment)}


def plain_line(event: Event) -> str | None:
    """One line on an event for people, or None for those that only machines want."""
    match event:
        case Segment():
            when = f"{_seconds(event.start)}–{_seconds(event.end)}"
            llr = "" if event.llr is None else f"llr {event.llr:+.1f}"
            text = f"{printable(event.speaker):<12}  {llr:<9}  {event.state}"
        case Verdict():
            when = _seconds(event.sample)
            detail = f"llr {event.llr:+.1f} on {event.evidence:.1f} s of speech"
            text = f"is it {printable(event.claimed)}: {event.answer} ({detail})"
        case SpeakerCreated():
            when, text = _seconds(event.sample), f"a new voice: {printable(event.speaker)}"
        case SpeakerMerged():
            when = _seconds(event.sample)
            text = f"one voice: {printable(event.speaker)} is {printable(event.into)}"
        case SourceOpened():
            when = _seconds(0)
            text = f"hearing {printable(event.name)}, {format_words(event.rate, event.channels)}"
        case SourceLost():
            when, text = _seconds(event.sample), f"no more audio: {printable(event.reason)}"
        case SourceRestored():
            when, text = _seconds(event.sample), f"hearing {printable(event.name)} again"
        case SourceGap() | SourceOverflow():
            when = f"{_seconds(event.start)}–{_seconds(event.end)}"
            text = "audio was lost" if isinstance(event, SourceOverflow) else "nothing was heard"
        case _:
            return None
    return f"{when:>15} s  {text}"


def spans(segments: Iterable[Segment], start: int, end: int, cells: int) -> list[Segment | None]:
    """For each of `cells` equal parts of samples [start, end), the segment that fills it most."""
    width = (end - start) / cells
    best: list[Segment | None] = [None] * cells
    fill = [0.0] * cells
    for segment in segments:
        first = max(0, int((segment.start - start) / width))
        last = min(cells - 1, int((segment.end - start) / width))
        for cell in range(first, last + 1):
            left = start + cell * width
            shared = min(segment.end, left + width) - max(segment.start, left)
            if shared > fill[cell]:
                best[cell], fill[cell] = segment, shared
    return best


def _seconds(samples: int) -> str:
    return f"{samples / SAMPLE_RATE:.1f}"
