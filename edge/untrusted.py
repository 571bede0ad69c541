"""Bytes from outside: whatever is wrong with them is told as one kind of error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

T = TypeVar("T")


def parse(decoder: Callable[[bytes], T], data: bytes) -> T:
    """What a decoder of msgspec's makes of the bytes.

    Raises:
        msgspec.DecodeError: they are not what it expects; that they hold text which is none, or
            are nested too deep, included, of which msgspec tells otherwise.
    """
    try:
        return decoder(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
