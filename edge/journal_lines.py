"""The lines of a journal's segment: which event each is, whatever the disk did to others. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from edge.untrusted import parse

LEAST = 64  # bytes; no event takes fewer


class _Numbered(msgspec.Struct, frozen=True):
    seq: int


_NUMBERS = msgspec.json.Decoder(_Numbered)


def numbered(lines: Iterable[bytes], first: int) -> Iterator[tuple[int | None, bytes]]:
    """Lines of a segment with their numbers, `first` that of its first; None: it is damaged.

    One that is damaged may be many that became one, or half of one, so that those behind it have
    other places than their numbers. So a line tells its own, which is believed if it is greater
    than those before, and no further from its place than the damaged ones may have moved it.
    """
    last, moved = first - 1, 0
    for place, line in enumerate(lines, first):
        number = _number(line)
        if number is None or number <= last or abs(number - place) > moved:
            number = None
            moved += 1 + len(line) // LEAST
        else:
            last = number
        yield number, line


def _number(line: bytes) -> int | None:
    """What a line says that its number is; None where it is no line of JSON that says one."""
    try:
        # As text: msgspec passes over what is no UTF-8 in fields that it is not asked for.
        event = parse(lambda data: _NUMBERS.decode(data.decode()), line)
    except msgspec.DecodeError:
        return None
    return event.seq if line.endswith(b"\n") else None


def in_a_row(events: Iterable[tuple[int, bytes]], count: int, size: int) -> tuple[int, list[bytes]]:
    """The number of the first event, and those that follow it without a hole: at most `count`, but
    one at least, that together have no more bytes than `size`.
    """
    first = 0
    found: list[bytes] = []
    for number, event in events:
        size -= len(event)
        if found and (number != first + len(found) or len(found) == count or size < 0):
            break
        if not found:
            first = number
        found.append(event)
    return first, found
