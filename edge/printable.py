"""Text from elsewhere, as files, devices and other machines name themselves, for a terminal."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    """The text without what would steer a terminal; `keep`: control characters that stay."""
    return "".join(c if c.isprintable() or c in keep else "?" for c in text)
