"""What a satellite sends: sound at 16 kHz with its position, in two frames of ZeroMQ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.untrusted import parse

MAX_HEADER = 256  # bytes
MAX_SAMPLES = 16_000  # of one packet
MAX_POSITION = 1 << 62


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame, as JSON.

    `session` is drawn anew whenever a satellite starts. `start` is the position of the first
    sample since then; where it is beyond the end of the packet before, sound was lost between.
    """

    v: Literal[1] = 1
    session: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    start: Annotated[int, msgspec.Meta(ge=0, le=MAX_POSITION)]


class Packet(msgspec.Struct, frozen=True, eq=False):
    """A stretch of sound: mono float32 (n,) at 16 kHz, full scale ±1, sent as 16 bits."""

    header: Header
    samples: NDArray[np.float32]

    @property
    def end(self) -> int:
        """Position of the first sample behind it."""
        return self.header.start + len(self.samples)


_headers: msgspec.json.Decoder[Header] = msgspec.json.Decoder(Header)


def encode(packet: Packet) -> list[bytes]:
    """The frames of a packet of 1 to `MAX_SAMPLES` samples."""
    sound = np.round(packet.samples * 32768.0).clip(-32768, 32767).astype("<i2")
    return [msgspec.json.encode(packet.header), sound.tobytes()]


def decode(frames: Sequence[bytes]) -> Packet:
    """Parse and validate a packet.

    Raises:
        msgspec.DecodeError: too long, empty, or not of this shape and version.
    """
    if len(frames) != 2 or len(frames[0]) > MAX_HEADER:
        raise msgspec.DecodeError("expected a short header and the samples")
    header = parse(_headers.decode, frames[0])
    count, rest = divmod(len(frames[1]), 2)
    if rest or not 0 < count <= MAX_SAMPLES:
        raise msgspec.DecodeError(f"{len(frames[1])} bytes of samples came")
    return Packet(header, np.frombuffer(frames[1], "<i2").astype(np.float32) / np.float32(32768))
