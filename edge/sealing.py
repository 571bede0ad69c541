"""Encryption at rest: AES-256-SIV (RFC 5297) under a key file that its owner alone may read.

It is deterministic, so a sealed name can be looked up and kept unique; and it needs no nonce, which
could repeat. What is sealed for one context opens in no other. Imported only where a key is in use.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from edge.errors import EarmarkError
from edge.private_file import read_private, write_private

KEY_BITS = 512
_PREFIX = b"earmark-key-1 "
_MAX_FILE = 1024  # bytes; a key is far below


class Key:
    """Seals bytes, and opens what it sealed."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESSIV(secret)

    @classmethod
    def read(cls, path: Path) -> Key:
        """The key in a file that `make_key` wrote.

        Raises:
            EarmarkError: no such file, others may read it, or it holds no key.
        """
        remedy = "Make one with 'earmark speakers keygen FILE'"
        data = read_private(path, "the key", _MAX_FILE, remedy)
        try:
            secret = base64.b64decode(data.removeprefix(_PREFIX).strip(), validate=True)
        except binascii.Error:
            secret = b""
        if not data.startswith(_PREFIX) or len(secret) * 8 != KEY_BITS:
            raise EarmarkError(f"{path} holds no key of Earmark", remedy)
        return cls(secret)

    def seal(self, data: bytes, *context: bytes) -> bytes:
        """`data`, for this context alone."""
        return self._cipher.encrypt(data, list(context))

    def open(self, sealed: bytes, *context: bytes) -> bytes:
        """What was sealed for this context.

        Raises:
            ValueError: it was not, or not with this key, or it was changed.
        """
        try:
            return self._cipher.decrypt(sealed, list(context))
        except InvalidTag as error:
            raise ValueError("not sealed here with this key") from error


def make_key(path: Path) -> None:
    """Write a new key.

    Raises:
        EarmarkError: something is there already, or it cannot be written.
    """
    secret = AESSIV.generate_key(KEY_BITS)
    write_private(path, _PREFIX + base64.b64encode(secret) + b"\n")
