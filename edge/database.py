"""The SQLite file under the store: its owner's alone, write-ahead, of one schema version."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edge.errors import EarmarkError
from edge.ledger import DEFAULT_CONDITION, encode
from edge.lock import locked
from edge.private_file import make_private

SCHEMA_VERSION = 2
BUSY_SECONDS = 30.0  # how long another process may write before this one gives up
# Names and ledgers are sealed in an encrypted store, which holds one proof of its key.
_CREATE = (
    "CREATE TABLE speakers (name BLOB PRIMARY KEY, model TEXT NOT NULL, ledger BLOB NOT NULL)"
    " STRICT",
    "CREATE TABLE keys (proof BLOB NOT NULL) STRICT",
)


class Database:
    """One open file; every error of SQLite comes out as an `EarmarkError`."""

    def __init__(self, path: Path, patience: float = BUSY_SECONDS) -> None:
        """Open, create or migrate; other processes are waited for `patience` seconds at most.

        Raises:
            EarmarkError: not a database of this kind, or not accessible, or others do not let go.
        """
        self.path = path
        self._patience = patience
        try:
            make_private(path.parent)
            path.touch(mode=0o600)  # SQLite gives -wal and -shm the same mode
            self._connection = sqlite3.connect(path, patience, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        try:
            # Processes that switch to WAL at once fail instead of waiting for each other. It is the
            # folder that they lock: who closed a descriptor of the file lost SQLite's own locks.
            with locked(path.parent, patience):
                self._prepare()
        except OSError as error:
            self.close()
            raise self._unusable(error) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def query(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """The rows that a statement gives.

        Raises:
            EarmarkError: SQLite cannot carry it out.
        """
        try:
            return self._connection.execute(statement, values).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._unusable(error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing; nobody else writes meanwhile."""
        self.query("BEGIN IMMEDIATE")
        try:
            yield
            self.query("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # sqlite may have rolled back by itself
                self._connection.execute("ROLLBACK")
            raise

    def erase_deleted(self) -> None:
        """Leave nothing that was deleted in the file, nor in its -wal.

        Raises:
            EarmarkError: another process did not let go of the file for long.
        """
        self.query("VACUUM")
        deadline = time.monotonic() + self._patience
        while self.query("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
            if time.monotonic() > deadline:
                raise EarmarkError(
                    f"what was deleted still stands in {self.path}-wal: another process is reading",
                    "It is erased when the last process that uses the store ends",
                )
            time.sleep(0.01)  # SQLite waits for readers, but not for another's checkpoint

    def _prepare(self) -> None:
        self.query("PRAGMA secure_delete = ON")
        self.query("PRAGMA temp_store = MEMORY")  # VACUUM must not copy voices to /var/tmp
        ((version,),) = self.query("PRAGMA user_version")
        if version > SCHEMA_VERSION:
            raise EarmarkError(
                f"{self.path} has schema version {version}, expected {SCHEMA_VERSION} at most",
                "It was made by a newer Earmark: update this one",
            )
        if version < 0 or (version == 0 and self.query("SELECT 1 FROM sqlite_master")):
            raise EarmarkError(
                f"{self.path} is a database of another program", "Give another file with --store"
            )
        self.query("PRAGMA journal_mode = WAL")
        self.query("PRAGMA synchronous = FULL")  # what was acknowledged outlives a power cut
        if version < SCHEMA_VERSION:
            with self.transaction():
                self._migrate(version)

    def _migrate(self, version: int) -> None:
        """Make the tables, and carry over what version 1 kept: one vector of sums a speaker."""
        rows = []
        if version == 1:
            rows = self.query("SELECT CAST(name AS BLOB), model, statistics FROM speakers")
            self.query("DROP TABLE speakers")
        for statement in _CREATE:
            self.query(statement)
        for name, model, statistics in rows:
            # As they stand: a damaged one, or another model's, is told only when it is used.
            ledger = encode({"conditions": {DEFAULT_CONDITION: statistics}})
            self.query("INSERT INTO speakers VALUES (?, ?, ?)", (name, model, ledger))
        self.query(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _unusable(self, error: Exception) -> EarmarkError:
        return EarmarkError(
            f"cannot use {self.path} as the store of speakers: {error}",
            "Check its permissions and the space on the disk, or give another file with --store",
        )
