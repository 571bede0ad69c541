"""The secret of the page, in a file of its owner alone."""

from __future__ import annotations

import secrets
from pathlib import Path

from edge.errors import EarmarkError
from edge.private_file import read_private, write_private

SHORTEST, LONGEST = 24, 256  # characters; so long that nobody comes by it by trying


def read_token(path: Path) -> str:
    """The token in a file, which is made with a new one if it is not there.

    Raises:
        EarmarkError: it cannot be read or written, others may read it, or it holds no token.
    """
    if not path.exists():
        write_private(path, f"{secrets.token_urlsafe(32)}\n".encode())
    remedy = "Name a file that is not there yet, and a new token is written to it"
    data = read_private(path, "the token in", LONGEST + 2, remedy)
    token = data.decode("ascii", "replace").strip()
    if not (SHORTEST <= len(token) <= LONGEST and token.isascii() and token.isprintable()):
        raise EarmarkError(
            f"{path} does not hold a token: {SHORTEST} to {LONGEST} printable characters", remedy
        )
    return token
