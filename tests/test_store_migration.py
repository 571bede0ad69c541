"""A store that an earlier Earmark made: everybody is still there afterwards."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from voice_store import profile, stub, sums

from edge.errors import EarmarkError
from edge.sealing import make_key
from edge.store import Store

NAMES = ["ada", "bén", "李", "damaged", "old model"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """What version 1 wrote."""
    path = tmp_path / "speakers.db"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE speakers (name TEXT PRIMARY KEY, model TEXT NOT NULL,"
            " statistics BLOB NOT NULL) STRICT"
        )
        for seed, name in enumerate(NAMES):
            blob = sums(seed).tobytes()[: 9 if name == "damaged" else None]
            model = "older" if name == "old model" else "one"
            database.execute("INSERT INTO speakers VALUES (?, ?, ?)", (name, model, blob))
        database.execute("PRAGMA user_version = 1")
    return path


def test_everybody_is_carried_over(path: Path) -> None:
    for _ in range(2):
        with Store(path, stub(), create=False) as store:
            assert store.names() == sorted(NAMES)
            for seed, name in enumerate(NAMES[:3]):
                assert np.array_equal(store.profile(name).statistics, sums(seed))
            with pytest.raises(EarmarkError, match="'damaged' is damaged"):
                store.profile("damaged")
            with pytest.raises(EarmarkError, match="model older"):
                store.profile("old model")
    with Store(path, stub()) as store:
        store.enrol(profile("ada", 9))
        assert np.array_equal(store.profile("ada").statistics, sums(0) + sums(9))
        store.forget("damaged")
        store.forget("old model")
        assert len(store.profiles()) == 3


@pytest.mark.parametrize("encrypted", [False, True])
def test_names_of_older_stores_are_found_in_every_form_of_unicode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encrypted: bool
) -> None:
    joined, apart = "Jos\u00e9", "Jose\u0301"
    key = tmp_path / "key" if encrypted else None
    if key:
        make_key(key)
    with monkeypatch.context() as older, Store(tmp_path / "s.db", stub(), key=key) as store:
        older.setattr("edge.speaker_table.composed", str)
        store.enrol(profile(apart, 1))
    with Store(tmp_path / "s.db", stub(), key=key) as store:
        assert store.names() == [joined]
        for name in (joined, apart):
            assert np.array_equal(store.profile(name).statistics, sums(1))
        store.enrol(profile(joined, 2))
        (grown,) = store.profiles()
        assert (grown.name, grown.statistics[0]) == (joined, (sums(1) + sums(2))[0])


def test_two_names_of_an_older_store_that_are_one_are_told_and_can_be_forgotten(
    tmp_path: Path,
) -> None:
    names = ("Jos\u00e9", "Jose\u0301")
    path = tmp_path / "s.db"
    with Store(path, stub()) as store:
        store.enrol(profile(names[0], 1))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "INSERT INTO speakers SELECT ?, model, ledger FROM speakers", (names[1].encode(),)
        )
    with Store(path, stub()) as store:
        for use in (store.profiles, lambda: store.profile(names[0])):
            with pytest.raises(EarmarkError, match=f"two are enrolled as '{names[0]}'"):
                use()
        store.forget(names[0])
        assert store.names() == []


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE keys (in_the_way)")
    with pytest.raises(EarmarkError, match="cannot use"):
        Store(path, stub())
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
        rows = database.execute("SELECT name, statistics FROM speakers ORDER BY rowid").fetchall()
        assert [name for name, _ in rows] == NAMES
        assert rows[0][1] == sums(0).tobytes()
        database.execute("DROP TABLE keys")
    with Store(path, stub()) as store:
        assert store.names() == sorted(NAMES)
