"""The table of speakers: a name, a model and the bytes of a ledger each, sealed if there is a key.

What is sealed is bound to its row: a ledger opens under its own name and model alone.
"""

# ruff: noqa: PLC0415 (cryptography is loaded only where a key is in use)

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

from edge.database import Database
from edge.errors import EarmarkError
from edge.names import composed

_PROOF = b"earmark"


class KeyNeededError(EarmarkError):
    """The store is encrypted, and no key was given."""


class Row(NamedTuple):
    """One speaker; `ledger` is MessagePack that nobody looked at yet."""

    name: str
    model: str
    ledger: bytes


class Cipher(Protocol):
    """A `Key`, or nothing at all."""

    def seal(self, data: bytes, *context: bytes) -> bytes:
        """`data`, for this context alone."""

    def open(self, sealed: bytes, *context: bytes) -> bytes:
        """What was sealed for this context, else ValueError."""


class Clear:
    """The cipher of a store that is not encrypted."""

    def seal(self, data: bytes, *context: bytes) -> bytes:
        """The data itself."""
        return data

    def open(self, sealed: bytes, *context: bytes) -> bytes:
        """The data itself."""
        return sealed


class SpeakerTable:
    """The rows, in the clear to its users."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        """Open with a key or none; an empty table is encrypted from its first key on.

        Raises:
            EarmarkError: another key than the table's, a missing one, or one for a table that is
                not encrypted.
        """
        self._database = database
        self.cipher = cipher
        if not isinstance(cipher, Clear) and not database.query("SELECT 1 FROM speakers LIMIT 1"):
            with database.transaction():
                self._take_key_if_empty()
        self._check_key()

    def names(self) -> list[str]:
        """Everybody, sorted."""
        rows = self._database.query("SELECT name FROM speakers")
        return sorted(composed(self._open_name(name)) for (name,) in rows)

    def rows(self) -> list[Row]:
        """Everybody, sorted by name."""
        return self._select("")

    def find(self, name: str) -> Row | None:
        """One speaker, if there is one of that name."""
        rows = self._select("WHERE name IN (?, ?)", self._seal_forms(name))
        return rows[0] if rows else None

    def put(self, row: Row) -> None:
        """Write a speaker, in place of one of the same name."""
        name = composed(row.name)
        sealed = self.cipher.seal(row.ledger, *_context(name, row.model))
        self.delete(name)
        self._database.query(
            "INSERT INTO speakers VALUES (?, ?, ?)", (self._seal_name(name), row.model, sealed)
        )

    def delete(self, name: str) -> bool:
        """Remove a speaker; whether there was one of that name."""
        where = "FROM speakers WHERE name IN (?, ?)"
        sealed = self._seal_forms(name)
        found = bool(self._database.query(f"SELECT 1 {where}", sealed))
        self._database.query(f"DELETE {where}", sealed)
        return found

    def encrypt(self, key: Path) -> None:
        """Seal every row from now on.

        Raises:
            EarmarkError: no key in that file, or the table is encrypted already.
        """
        cipher = read_cipher(key)
        with self.transaction():
            if not isinstance(self.cipher, Clear):
                raise EarmarkError(f"{self._database.path} is encrypted already")
            rows = self.rows()
            self._database.query("DELETE FROM speakers")
            self.cipher = cipher
            self._prove()
            for row in rows:
                self.put(row)
        self._database.erase_deleted()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing; nobody else writes meanwhile."""
        with self._database.transaction():
            self._check_key()  # another process may have encrypted the store since
            yield

    def _take_key_if_empty(self) -> None:
        if not self._database.query("SELECT 1 FROM speakers UNION ALL SELECT 1 FROM keys LIMIT 1"):
            self._prove()

    def _prove(self) -> None:
        self._database.query("INSERT INTO keys VALUES (?)", (self.cipher.seal(_PROOF, b"proof"),))

    def _check_key(self) -> None:
        path = self._database.path
        proofs = self._database.query("SELECT proof FROM keys")
        if isinstance(self.cipher, Clear):
            if proofs:
                raise KeyNeededError(f"{path} is encrypted", "Give its key with --key FILE")
        elif not proofs:
            raise EarmarkError(
                f"a key was given, and {path} is not encrypted",
                "Leave --key out, or run 'earmark speakers encrypt --key FILE' once",
            )
        else:
            try:
                self.cipher.open(proofs[0][0], b"proof")
            except ValueError as error:
                raise EarmarkError(
                    f"{path} is encrypted with another key than the one given",
                    "Give the file that it was encrypted with to --key",
                ) from error

    def _select(self, where: str, values: Sequence[bytes] = ()) -> list[Row]:
        rows = self._database.query(f"SELECT name, model, ledger FROM speakers {where}", values)
        opened = sorted(self._open(self._open_name(name), *row) for name, *row in rows)
        for one, other in pairwise(opened):
            if one.name == other.name:
                raise EarmarkError(
                    f"two are enrolled as '{one.name}', in two forms of Unicode",
                    f"Run 'earmark speakers forget {one.name}', which erases both, and enrol again",
                )
        return opened

    def _seal_forms(self, name: str) -> tuple[bytes, bytes]:
        """As names are stored, and as stores of older versions may have them."""
        return self._seal_name(composed(name)), self._seal_name(unicodedata.normalize("NFD", name))

    def _seal_name(self, name: str) -> bytes:
        # A name that UTF-8 cannot hold is nobody's, and must be found to be so.
        return self.cipher.seal(name.encode(errors="surrogatepass"), b"name")

    def _open_name(self, sealed: object) -> str:
        try:
            if not isinstance(sealed, bytes):
                raise ValueError("not what was written")
            return self.cipher.open(sealed, b"name").decode()
        except ValueError as error:
            raise EarmarkError(
                f"{self._database.path} holds a name that cannot be read: it is damaged",
                "Give another file with --store, such as a copy made earlier",
            ) from error

    def _open(self, name: str, model: str, sealed: bytes) -> Row:
        try:
            return Row(composed(name), model, self.cipher.open(sealed, *_context(name, model)))
        except ValueError as error:
            raise EarmarkError(
                f"the profile of '{name}' is damaged, or was another speaker's",
                f"Run 'earmark speakers forget {name}' and enrol again",
            ) from error


def _context(name: str, model: str) -> tuple[bytes, ...]:
    return b"ledger", name.encode(), model.encode()


def read_cipher(key: Path | None) -> Cipher:
    """The cipher of a key file, or that of no key.

    Raises:
        EarmarkError: no key in that file.
    """
    if key is None:
        return Clear()
    from edge.sealing import Key

    return Key.read(key)
