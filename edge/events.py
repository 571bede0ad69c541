"""What Earmark says: typed, tagged, versioned structs, as JSON or MessagePack of the same.

The pure core makes events; the daemon puts each into an `Envelope` that numbers and dates it.
Positions are int64 samples at 16 kHz since the stream began. Every audio span is half open.
"""

from __future__ import annotations

import inspect
from typing import Any, Literal

import msgspec

from edge.untrusted import parse

VERSION = 2
MAX_PROVISIONAL = 256  # segments of a stream that may still change, at one time


class SourceOpened(msgspec.Struct, tag="source.opened", frozen=True):
    """Audio is coming in. `rate` (Hz) and `channels` are the source's own, before conversion."""

    name: str
    rate: int
    channels: int


class SourceLost(msgspec.Struct, tag="source.lost", frozen=True):
    """The source ended or failed; `reason` is for people. A microphone may be restored later."""

    sample: int
    reason: str


class SourceRestored(msgspec.Struct, tag="source.restored", frozen=True):
    """A lost source is back, as it is now; the gap that follows tells what was not heard."""

    sample: int
    name: str
    rate: int
    channels: int


class SourceGap(msgspec.Struct, tag="source.gap", frozen=True):
    """Samples that were never captured, as told by the clock."""

    start: int
    end: int


class SourceOverflow(msgspec.Struct, tag="source.overflow", frozen=True):
    """Samples that were captured but lost before they could be processed."""

    start: int
    end: int


class SpeechStarted(msgspec.Struct, tag="speech.started", frozen=True):
    """Somebody begins to speak at `sample`."""

    sample: int


class SpeechStopped(msgspec.Struct, tag="speech.stopped", frozen=True):
    """From `sample` on nobody speaks."""

    sample: int


class Overlap(msgspec.Struct, frozen=True):
    """Samples [start, end) of a segment in which `speaker` talks as well."""

    start: int
    end: int
    speaker: str


class Segment(msgspec.Struct, tag="segment", frozen=True):
    """A stretch of one voice. A later revision of the same `id` replaces the earlier ones.

    Whoever it is, and where it begins and ends, may be put right until it is `final`.

    `llr` is the natural-log likelihood ratio that the stretch is `speaker`'s voice, against that of
    anybody else; it is absent for the first stretch of a new voice. `margin` is by how much
    it exceeds the `runner_up`'s. `overlaps` tell where another voice is heard at the same time.
    """

    id: int
    rev: int
    state: Literal["provisional", "final"]
    speaker: str
    start: int
    end: int
    llr: float | None = None
    runner_up: str | None = None
    margin: float | None = None
    overlaps: tuple[Overlap, ...] = ()


class SpeakerCreated(msgspec.Struct, tag="speaker.created", frozen=True):
    """A voice that was not known; `sample` is where it was first heard."""

    sample: int
    speaker: str


class SpeakerMerged(msgspec.Struct, tag="speaker.merged", frozen=True):
    """Two ids were one voice: `speaker` is gone, `into` stays."""

    sample: int
    speaker: str
    into: str


class Verdict(msgspec.Struct, tag="verdict", frozen=True):
    """Whether the voice of a segment is `claimed`, the likeliest of those enrolled.

    A `yes` is also ahead of the next one, and strangers get one at the rate asked, however many are
    enrolled. `evidence` is the net speech heard, in seconds; `not yet` says that it does not
    suffice: less than a second never does, while the segment may grow.
    """

    sample: int
    segment: int
    claimed: str
    answer: Literal["yes", "no", "not yet"]
    llr: float
    evidence: float


class Health(msgspec.Struct, tag="health", frozen=True):
    """Heartbeat of a stream. Times in seconds, memory in bytes; `cpu` and `rss` are the daemon's.

    `lag` is the longest time from when audio came in to its events since the last heartbeat.
    `overflowed` and `missing` are samples lost so far, as overflows and as gaps. `drift` is by how
    much the source's clock is faster than this machine's, in parts per million, once it is known.
    `shedding` is what is left undone to keep up: 0 nothing; 1 segments are clustered anew less
    often; 2 and they are first labelled when they end. `lag_median` and `lag_99` are percentiles of
    the latest thousand blocks at most, `level` is of the input, root mean square in dB below full
    scale, both since the last heartbeat; `queued` blocks are read and wait.
    """

    sample: int
    lag: float
    cpu: float
    rss: int
    overflowed: int
    missing: int
    speakers: int
    shedding: int
    drift: float | None = None
    final: bool = False
    lag_median: float = 0.0
    lag_99: float = 0.0
    level: float | None = None
    queued: int = 0


Event = (
    SourceOpened
    | SourceLost
    | SourceRestored
    | SourceGap
    | SourceOverflow
    | SpeechStarted
    | SpeechStopped
    | Segment
    | SpeakerCreated
    | SpeakerMerged
    | Verdict
    | Health
)


class Envelope(msgspec.Struct, frozen=True):
    """An event on the wire.

    `session` names a journal and one run of the daemon, `seq` counts the events of all streams
    without a hole, from run to run too while the journal is the same. `sample` is the stream
    position when the event was made and `utc` (seconds since 1970) the clock at that moment.
    """

    v: int
    session: str
    stream: str
    seq: int
    sample: int
    utc: float
    event: Event


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)


def encode(envelope: Envelope) -> bytes:
    """JSON of an envelope, one line."""
    return _encoder.encode(envelope)


def decode(data: bytes) -> Envelope:
    """Parse and validate one envelope.

    Raises:
        msgspec.DecodeError: not JSON, or not of this shape (`ValidationError`).
    """
    return parse(_decoder.decode, data)


def spoken(segment: Segment) -> list[tuple[int, int, str]]:
    """Everybody who talks in a segment: (start, end, speaker), its own speaker first."""
    others = [(other.start, other.end, other.speaker) for other in segment.overlaps]
    return [(segment.start, segment.end, segment.speaker), *others]


def format_words(rate: int, channels: int) -> str:
    """What a source gives, for people: its rate, Hz, and how many channels."""
    return f"{rate} Hz, {channels} channel{'s' * (channels != 1)}"


def renamed(segment: Segment, speaker: str, into: str) -> Segment:
    """The segment after a merge: `into` has said what `speaker` said."""
    own = into if segment.speaker == speaker else segment.speaker
    overlaps = tuple(
        Overlap(other.start, other.end, into if other.speaker == speaker else other.speaker)
        for other in segment.overlaps
    )
    return msgspec.structs.replace(
        segment, speaker=own, overlaps=tuple(o for o in overlaps if o.speaker != own)
    )


def family(event: Event) -> str:
    """The topic family: the part of the tag before the dot."""
    tag = type(event).__struct_config__.tag
    return str(tag).split(".", maxsplit=1)[0]


def topic(envelope: Envelope) -> bytes:
    """The ZeroMQ topic, `stream/family`."""
    return f"{envelope.stream}/{family(envelope.event)}".encode()


def json_schema() -> dict[str, Any]:
    """JSON Schema of the envelope; kept in the repo and compared by a test."""
    schema = msgspec.json.schema(Envelope)
    for part in (schema, *schema["$defs"].values()):
        if "description" in part:  # whose indentation differs between versions of msgspec
            part["description"] = inspect.cleandoc(part["description"])
    return schema
