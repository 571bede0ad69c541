"""Enrolled speakers on disk: statistics alone, never audio, readable by their owner alone."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from edge.encoder import Model
from edge.errors import EarmarkError
from edge.statistics import Profile, Sums

SCHEMA_VERSION = 1
MAX_NAME = 64
_RESERVED = re.compile(r"unknown|speaker\d+")  # what the tracker calls voices without a name
_CREATE = """
CREATE TABLE speakers (
    name TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    statistics BLOB NOT NULL
) STRICT
"""


def default_path() -> Path:
    """`$XDG_DATA_HOME/earmark/speakers.db`, by default below ~/.local/share."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "earmark" / "speakers.db"


def check_name(name: str) -> None:
    """Refuse names that cannot stand in a list, a file or an event.

    Raises:
        EarmarkError: naming what is expected.
    """
    reason = None
    if not name.strip():
        reason = "it is empty"
    elif name != name.strip():
        reason = "it begins or ends with a blank"
    elif len(name) > MAX_NAME:
        reason = f"it has {len(name)} characters"
    elif not name.isprintable() or "/" in name:
        reason = "it holds a '/' or a character that cannot be printed"
    elif _RESERVED.fullmatch(name):
        reason = "voices without a name are called so"
    if reason:
        raise EarmarkError(
            f"{name!r} cannot be a speaker's name: {reason}",
            f"Choose 1 to {MAX_NAME} printable characters without '/', such as 'ada'",
        )


class Store:
    """The enrolled speakers of one database; a context manager."""

    def __init__(self, path: Path | None, model: Model, create: bool = True) -> None:
        """Open the database, and create it if it is not there and `create` is asked for.

        Profiles are those made with `model`.

        Raises:
            EarmarkError: not a database of this kind, or not accessible, or not there.
        """
        self.path = path or default_path()
        self._model = model
        if not create and not self.path.exists():
            raise EarmarkError(
                f"nobody is enrolled: there is no store at {self.path}",
                "Begin with 'earmark enroll NAME FILE'",
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.touch(mode=0o600)
            self._database = sqlite3.connect(self.path, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        try:
            self._prepare()
        except EarmarkError:
            self._database.close()
            raise

    def _prepare(self) -> None:
        """See that this is a store, or make it one if it is empty."""
        # An erased profile must not be left readable in the file.
        self._query("PRAGMA secure_delete = ON")
        if self._version() == SCHEMA_VERSION:
            return
        with self._transaction():
            version = self._version()  # another process may have been faster
            if version not in (0, SCHEMA_VERSION):
                raise EarmarkError(
                    f"{self.path} has schema version {version}, expected {SCHEMA_VERSION}",
                    "It was made by another version of Earmark",
                )
            if version == 0 and self._query("SELECT 1 FROM sqlite_master"):
                raise EarmarkError(
                    f"{self.path} is a database of another program",
                    "Give another file with --store",
                )
            if version == 0:
                self._query(_CREATE)
                self._query(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _version(self) -> int:
        ((version,),) = self._query("PRAGMA user_version")
        return int(version)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._database.close()

    def names(self) -> list[str]:
        """Everybody enrolled, with whichever model."""
        rows = self._query("SELECT name FROM speakers ORDER BY name")
        return [name for (name,) in rows]

    def profiles(self) -> list[Profile]:
        """All speakers enrolled with this model, by name.

        Raises:
            EarmarkError: a profile belongs to another model, or its bytes are damaged.
        """
        rows = self._query("SELECT name, model, statistics FROM speakers ORDER BY name")
        return [Profile(name, self._parse(name, model, blob)) for name, model, blob in rows]

    def profile(self, name: str) -> Profile:
        """One speaker.

        Raises:
            EarmarkError: nobody of that name, or the profile is another model's or damaged.
        """
        profile = self._find(name) if name in self.names() else None
        if profile is None:
            raise _nobody(name)
        return profile

    def enrol(self, profile: Profile, check: Callable[[Profile], None] | None = None) -> Profile:
        """Add a speaker, or more speech to one that is known; returns the profile as it is now.

        `check` sees that profile before it is written, and may refuse it by an exception.

        Raises:
            EarmarkError: no name for a speaker, or what is known is another model's or damaged.
        """
        check_name(profile.name)
        statistics = profile.statistics
        with self._transaction():
            known = self._find(profile.name)
            if known is not None:
                statistics = statistics + known.statistics
            grown = Profile(profile.name, statistics)
            if check is not None:
                check(grown)
            self._query(
                "INSERT OR REPLACE INTO speakers VALUES (?, ?, ?)",
                (profile.name, self._model.id, statistics.astype("<f8").tobytes()),
            )
        return grown

    def rename(self, name: str, new: str) -> None:
        """Give a speaker another name.

        Raises:
            EarmarkError: nobody of that name, no name for a speaker, or it is somebody else's.
        """
        check_name(new)
        with self._transaction():
            names = self.names()
            if name not in names:
                raise _nobody(name)
            if new in names:
                raise EarmarkError(
                    f"cannot rename '{name}': somebody is enrolled as '{new}' already",
                    "Choose another name, or forget that one first",
                )
            self._query("UPDATE speakers SET name = ? WHERE name = ?", (new, name))

    def forget(self, name: str) -> None:
        """Erase a speaker.

        Raises:
            EarmarkError: nobody of that name is enrolled.
        """
        with self._transaction():
            if name not in self.names():
                raise _nobody(name)
            self._query("DELETE FROM speakers WHERE name = ?", (name,))
        self._query("VACUUM")

    def _find(self, name: str) -> Profile | None:
        rows = self._query("SELECT model, statistics FROM speakers WHERE name = ?", (name,))
        return Profile(name, self._parse(name, *rows[0])) if rows else None

    def _query(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of the block or nothing; nobody else writes meanwhile."""
        self._query("BEGIN IMMEDIATE")
        try:
            yield
            self._query("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # sqlite may have rolled back by itself
                self._database.execute("ROLLBACK")
            raise

    def _unusable(self, error: Exception) -> EarmarkError:
        return EarmarkError(
            f"cannot use {self.path} as the store of speakers: {error}",
            "Check its permissions, or give another file with --store",
        )

    def _parse(self, name: str, model: str, blob: bytes) -> Sums:
        if model != self._model.id:
            raise EarmarkError(
                f"'{name}' was enrolled with the model {model}, this one is {self._model.id}",
                f"Run 'earmark speakers forget {name}' and enrol again",
            )
        expected = 8 * self._model.statistics_size
        if len(blob) != expected:
            raise EarmarkError(
                f"the profile of '{name}' has {len(blob)} bytes, expected {expected}",
                f"It is damaged: 'earmark speakers forget {name}' and enrol again",
            )
        statistics = np.frombuffer(blob, dtype="<f8").astype(np.float64)
        if not np.isfinite(statistics).all() or statistics[0] <= 0:
            raise EarmarkError(
                f"the profile of '{name}' holds values that are no statistics",
                f"It is damaged: 'earmark speakers forget {name}' and enrol again",
            )
        return statistics


def _nobody(name: str) -> EarmarkError:
    return EarmarkError(f"nobody is enrolled as '{name}'", "See 'earmark speakers list'")
