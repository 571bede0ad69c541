"""The secret of the page, in a file of its owner alone."""

from __future__ import annotations

import secrets
import stat
from pathlib import Path

from edge.errors import EarmarkError
from edge.private_file import write_private

SHORTEST, LONGEST = 24, 256  # characters; so long that nobody comes by it by trying


def read_token(path: Path) -> str:
    """The token in a file, which is made with a new one if it is not there.

    Raises:
        EarmarkError: it cannot be read or written, others may read it, or it holds no token.
    """
    if not path.exists():
        write_private(path, f"{secrets.token_urlsafe(32)}\n".encode())
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise EarmarkError(
                f"others than its owner may read the token in {path}", f"Do 'chmod 600 {path}'"
            )
        with path.open("rb") as file:
            token = file.read(LONGEST + 2).decode("ascii", "replace").strip()
    except OSError as error:
        raise EarmarkError(f"cannot read {path}: {error.strerror}", "Check the path") from error
    if not (SHORTEST <= len(token) <= LONGEST and token.isascii() and token.isprintable()):
        raise EarmarkError(
            f"{path} does not hold a token: {SHORTEST} to {LONGEST} printable characters",
            "Name a file that is not there yet, and a new token is written to it",
        )
    return token
