"""Enrolled speakers on disk: statistics alone, never audio, readable by their owner alone."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from edge.encoder import Model
from edge.errors import EarmarkError
from edge.statistics import Profile, Sums

SCHEMA_VERSION = 1
_CREATE = """
CREATE TABLE IF NOT EXISTS speakers (
    name TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    statistics BLOB NOT NULL
) STRICT
"""


def default_path() -> Path:
    """`$XDG_DATA_HOME/earmark/speakers.db`, by default below ~/.local/share."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "earmark" / "speakers.db"


class Store:
    """The enrolled speakers of one database; a context manager."""

    def __init__(self, path: Path | None, model: Model) -> None:
        """Open or create the database; profiles are those made with `model`.

        Raises:
            EarmarkError: not a database of this kind, or not accessible.
        """
        self.path = path or default_path()
        self._model = model
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.touch(mode=0o600)
            self._database = sqlite3.connect(self.path)
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version not in (0, SCHEMA_VERSION):
                raise EarmarkError(
                    f"{self.path} has schema version {version}, expected {SCHEMA_VERSION}",
                    "It was made by another version of Earmark",
                )
            # An erased profile must not be left readable in the file.
            self._database.execute("PRAGMA secure_delete = ON")
            with self._database:
                self._database.execute(_CREATE)
                self._database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        except (OSError, sqlite3.Error) as error:
            raise EarmarkError(
                f"cannot use {self.path} as the store of speakers: {error}",
                "Check its permissions, or give another file with --store",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._database.close()

    def profiles(self) -> list[Profile]:
        """All speakers enrolled with this model, by name.

        Raises:
            EarmarkError: a profile belongs to another model, or its bytes are damaged.
        """
        rows = self._database.execute("SELECT name, model, statistics FROM speakers ORDER BY name")
        return [Profile(name, self._parse(name, model, blob)) for name, model, blob in rows]

    def enrol(self, profile: Profile) -> Profile:
        """Add a speaker, or more speech to one that is known; returns the profile as it is now."""
        known = {p.name: p for p in self.profiles()}
        statistics = profile.statistics
        if profile.name in known:
            statistics = statistics + known[profile.name].statistics
        with self._database:
            self._database.execute(
                "INSERT OR REPLACE INTO speakers VALUES (?, ?, ?)",
                (profile.name, self._model.id, statistics.astype("<f8").tobytes()),
            )
        return Profile(profile.name, statistics)

    def forget(self, name: str) -> None:
        """Erase a speaker.

        Raises:
            EarmarkError: nobody of that name is enrolled.
        """
        with self._database:
            cursor = self._database.execute("DELETE FROM speakers WHERE name = ?", (name,))
        if cursor.rowcount == 0:
            raise EarmarkError(f"nobody is enrolled as '{name}'", "See 'earmark speakers list'")
        self._database.execute("VACUUM")

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
