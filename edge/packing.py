"""MessagePack of what is JSON: the same names and values, in fewer bytes."""

from __future__ import annotations

import msgspec

from edge.untrusted import parse

_MAPS = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])  # first bytes, with which no JSON begins

_encoder = msgspec.msgpack.Encoder()


def pack(value: msgspec.Struct) -> bytes:
    """MessagePack of a struct: integers stay integers in it, other numbers are float64."""
    return _encoder.encode(value)


def repack(data: bytes) -> bytes:
    """MessagePack of what is here as JSON.

    Raises:
        msgspec.DecodeError: it is no JSON, or a number in it has more than 64 bits.
    """
    try:
        return _encoder.encode(parse(msgspec.json.decode, data))
    except OverflowError as error:
        raise msgspec.DecodeError(str(error)) from error


def is_packed(data: bytes) -> bool:
    """Whether a message is MessagePack: it begins as a map does."""
    return bool(data) and data[0] in _MAPS
