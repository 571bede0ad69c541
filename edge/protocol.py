"""What subscribers ask a daemon and what it answers: typed, versioned. See PROTOCOL.md.

A request in JSON is answered in JSON, one in MessagePack in MessagePack.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Literal, TypeVar

import msgspec

from edge.journal_lines import in_a_row
from edge.packing import is_packed, pack, repack
from edge.untrusted import parse

VERSION = 1
MAX_REQUEST = 4_096  # bytes
MAX_REPLY = 8 << 20
PAGE_EVENTS, PAGE_BYTES = 1_000, 256 << 10  # of one replay
MAX_ENROLLED = 1_000  # of one answer
JOURNAL_MARK = "."  # in a session, between the journal and the number of the run

MAX_NUMBER = (1 << 63) - 1

Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is chosen by who asks, and comes back with the answer."""

    v: Literal[1] = 1
    id: Number


class SnapshotRequest(_Message, tag="snapshot", frozen=True):
    """How do things stand?"""


class ReplayRequest(_Message, tag="replay", frozen=True, kw_only=True):
    """Which events are there from number `start` on?"""

    start: Number


class StatusRequest(_Message, tag="status", frozen=True):
    """How is the daemon?"""


class StopCommand(_Message, tag="stop", frozen=True):
    """End, as on SIGTERM."""


class ReloadCommand(_Message, tag="reload", frozen=True):
    """Read anew the settings and who is enrolled, as on SIGHUP."""


class RenameCommand(_Message, tag="rename", frozen=True, kw_only=True):
    """Give the enrolled speaker `name` the name `new`."""

    name: str
    new: str


class ForgetCommand(_Message, tag="forget", frozen=True, kw_only=True):
    """Erase the enrolled speaker `name`."""

    name: str


class EnrolCommand(_Message, tag="enrol", frozen=True, kw_only=True):
    """Enrol as `name`, or add to what is enrolled, what was said in `stream`.

    Either all that `speaker` has said, or what was in `segment`.
    """

    name: str
    stream: str
    speaker: str | None = None
    segment: Number | None = None


class EnrolledCommand(_Message, tag="enrolled", frozen=True):
    """Who is enrolled? It changes nothing, but names are for those alone who may command."""


ChangingCommand = StopCommand | ReloadCommand | RenameCommand | ForgetCommand | EnrolCommand
Command = ChangingCommand | EnrolledCommand
Request = SnapshotRequest | ReplayRequest | StatusRequest | Command


class _Numbered(msgspec.Struct, frozen=True):
    """What is no request, but can be answered: it has an `id`."""

    id: Number


class Snapshot(_Message, tag="snapshot", frozen=True, kw_only=True):
    """The envelopes, in JSON, that still tell something about the present; `next` follows them."""

    session: str
    next: Number
    events: list[msgspec.Raw]


class Replay(_Message, tag="replay", frozen=True, kw_only=True):
    """Envelopes in JSON, in order, from `start` or from the oldest kept on; never with a hole.

    `next` is the number to ask for next, and `end` the one that the daemon's next event gets.
    """

    session: str
    next: Number
    end: Number
    events: list[msgspec.Raw]


class Status(_Message, tag="status", frozen=True, kw_only=True):
    """Numbers [first, next) are kept; `unwritten` events could not be; `malformed` requests came.

    `version` is Earmark's, `seconds` is how long the daemon has been running.
    """

    session: str
    version: str
    seconds: float
    streams: list[str]
    first: Number
    next: Number
    unwritten: Number
    malformed: Number


class Done(_Message, tag="done", frozen=True, kw_only=True):
    """A command was carried out; `what` it did is for people."""

    what: str


class EnrolledSpeaker(msgspec.Struct, frozen=True):
    """A name, and the seconds of net speech behind it."""

    name: str
    seconds: float


class Enrolled(_Message, tag="enrolled", frozen=True, kw_only=True):
    """The first `MAX_ENROLLED` of all `total` enrolled speakers, by name."""

    total: Number
    speakers: tuple[EnrolledSpeaker, ...]


class Refusal(_Message, tag="refusal", frozen=True, kw_only=True):
    """Why a request was not carried out, or is none, and what to do about it; for people."""

    what: str
    remedy: str


Reply = Snapshot | Replay | Status | Done | Enrolled | Refusal

_encoder = msgspec.json.Encoder()
_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_packed_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)
_numbered: msgspec.json.Decoder[_Numbered] = msgspec.json.Decoder(_Numbered)
_packed_numbered: msgspec.msgpack.Decoder[_Numbered] = msgspec.msgpack.Decoder(_Numbered)

T = TypeVar("T")


def encode(message: Request | Reply) -> bytes:
    """JSON of a request or a reply."""
    return _encoder.encode(message)


def answer_to(data: bytes, reply: Reply) -> bytes:
    """A reply in the encoding in which its request, `data`, came."""
    return pack(_repacked(reply)) if is_packed(data) else encode(reply)


def decode_request(data: bytes) -> Request:
    """Parse and validate a request, in JSON or MessagePack.

    Raises:
        msgspec.DecodeError: too long, neither of both, or not of this shape and version.
    """
    decoder = _packed_requests if is_packed(data) else _requests
    return _decode(data, MAX_REQUEST, decoder.decode)


def refusal_of(data: bytes, why: msgspec.DecodeError) -> Refusal | None:
    """The answer to what `decode_request` said is no request; None where it has no `id`."""
    decoder = _packed_numbered if is_packed(data) else _numbered
    try:
        asked = parse(decoder.decode, data)
    except msgspec.DecodeError:
        return None
    return Refusal(
        id=asked.id,
        what=f"the daemon takes no such request: {why}",
        remedy="See whether both are of the same version of Earmark",
    )


def decode_reply(data: bytes) -> Reply:
    """Parse and validate a reply in JSON; its `events` are still to be decoded.

    Raises:
        msgspec.DecodeError: too long, not JSON, or not of this shape and version.
    """
    return _decode(data, MAX_REPLY, _replies.decode)


def journal_of(session: str) -> str:
    """The journal that a session is a run of: as long as it is the same, `seq` goes on."""
    return session.partition(JOURNAL_MARK)[0]


def _repacked(reply: Reply) -> Reply:
    """A reply with its events in MessagePack."""
    match reply:
        case Snapshot():
            events = [msgspec.Raw(repack(event)) for event in reply.events]
            return msgspec.structs.replace(reply, events=events)
        case Replay():
            whole = []
            for number, event in enumerate(reply.events, reply.next - len(reply.events)):
                # What the disk damaged may be JSON still, but of numbers that MessagePack lacks.
                with suppress(msgspec.DecodeError):
                    whole.append((number, repack(event)))
            first, found = in_a_row(whole, PAGE_EVENTS, MAX_REPLY)
            return msgspec.structs.replace(
                reply,
                next=first + len(found) if found else reply.next,
                events=[msgspec.Raw(event) for event in found],
            )
    return reply


def _decode(data: bytes, limit: int, decode: Callable[[bytes], T]) -> T:
    if len(data) > limit:
        raise msgspec.DecodeError(f"{len(data)} bytes came, at most {limit} expected")
    return parse(decode, data)
