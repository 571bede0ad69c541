"""Names that people choose: of speakers, of recording conditions, and of clients."""

from __future__ import annotations

import re
import unicodedata

from edge.errors import EarmarkError

MAX_NAME = 64
_RESERVED = re.compile(r"unknown|speaker\d+")  # what the tracker calls voices without a name


def composed(name: str) -> str:
    """A name in the form that all are kept and compared in; an accent may come by itself, too."""
    return unicodedata.normalize("NFC", name)


def check_name(name: str) -> None:
    """Refuse what cannot be a speaker's name.

    Raises:
        EarmarkError: naming what is expected.
    """
    reason = "voices without a name are called so" if _RESERVED.fullmatch(name) else _flaw(name)
    if reason:
        raise _refusal(f"{name!r} cannot be a speaker's name: {reason}", "ada")


def check_condition(name: str) -> None:
    """Refuse what cannot be the name of a recording condition.

    Raises:
        EarmarkError: naming what is expected.
    """
    reason = _flaw(name)
    if reason:
        raise _refusal(f"{name!r} cannot be the name of a condition: {reason}", "telephone")


def check_client(name: str) -> None:
    """Refuse what cannot be the name of a client whose key is allowed.

    Raises:
        EarmarkError: naming what is expected.
    """
    reason = _flaw(name)
    if reason:
        raise _refusal(f"{name!r} cannot be the name of a client: {reason}", "laptop")


def _flaw(name: str) -> str | None:
    """Why `name` cannot stand in a list, a file or an event; None if it can."""
    if not name.strip():
        return "it is empty"
    if name != name.strip():
        return "it begins or ends with a blank"
    if len(name) > MAX_NAME:
        return f"it has {len(name)} characters"
    if not name.isprintable() or "/" in name:
        return "it holds a '/' or a character that cannot be printed"
    return None


def _refusal(what: str, example: str) -> EarmarkError:
    return EarmarkError(
        what, f"Choose 1 to {MAX_NAME} printable characters without '/', such as '{example}'"
    )
