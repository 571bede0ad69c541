"""Voices at rest: without the key nothing can be read, moved or changed unseen."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voice_store import bytes_on_disk, profile, stub, sums

from edge.errors import EarmarkError
from edge.sealing import Key, make_key
from edge.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "speakers.db"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "key")
    return tmp_path / "key"


def test_nothing_of_a_voice_can_be_read(path: Path, key: Path) -> None:
    with Store(path, stub(), key=key) as store:
        store.enrol(profile("secret-name"), condition="secret-place")
        store.adapt("secret-name", sums(2))
        found = bytes_on_disk(path)
    assert b"secret" not in found
    for seed in (1, 2):
        assert not any(value.tobytes() in found for value in sums(seed)[1:])


def test_encrypting_leaves_nothing_in_the_clear(path: Path, key: Path) -> None:
    with Store(path, stub()) as store, Store(path, stub()) as plain:
        store.enrol(profile("secret-name"))
        store.encrypt(key)
        assert b"secret-name" not in bytes_on_disk(path)
        assert not any(value.tobytes() in bytes_on_disk(path) for value in sums(1)[1:])
        assert np.array_equal(store.profile("secret-name").statistics, sums(1))
        with pytest.raises(EarmarkError, match="is encrypted"):  # opened before it was
            plain.enrol(profile("ben"))
        with pytest.raises(EarmarkError, match="encrypted already"):
            store.encrypt(key)
    with Store(path, stub(), key=key) as store:
        store.enrol(profile("secret-name", 2))
        assert np.array_equal(store.profile("secret-name").statistics, sums(1) + sums(2))


def test_every_wrong_key_is_told(path: Path, key: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    make_key(other)
    plain = tmp_path / "plain.db"
    with Store(plain, stub()) as store:
        store.enrol(profile("ada"))
    with Store(path, stub(), key=key) as store:
        store.enrol(profile("ada"))
    before = bytes_on_disk(path), bytes_on_disk(plain)
    for database, given_key, said in (
        (path, None, r"is encrypted.*--key FILE"),
        (path, other, "another key"),
        (path, tmp_path / "missing", "cannot read the key"),
        (path, tmp_path, "cannot read the key"),
        (plain, key, "not encrypted.*speakers encrypt"),
    ):
        with pytest.raises(EarmarkError, match=said):
            Store(database, stub(), key=given_key)
    assert (bytes_on_disk(path), bytes_on_disk(plain)) == before


@pytest.mark.parametrize("column", ["name", "ledger"])
def test_rows_cannot_be_swapped(path: Path, key: Path, column: str) -> None:
    with Store(path, stub(), key=key) as store:
        for seed, name in enumerate(("ada", "ben")):
            store.enrol(profile(name, seed))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        (one,), (two,) = database.execute(f"SELECT {column} FROM speakers").fetchall()
        for old, new in ((one, b"x"), (two, one), (b"x", two)):
            database.execute(f"UPDATE speakers SET {column} = ? WHERE {column} = ?", (new, old))
    with Store(path, stub(), key=key) as store:
        assert store.names() == ["ada", "ben"]
        for name in store.names():
            with pytest.raises(EarmarkError, match=f"profile of '{name}' is damaged, or was"):
                store.profile(name)


def test_a_changed_name_is_told(path: Path, key: Path) -> None:
    with Store(path, stub(), key=key) as store:
        store.enrol(profile("ada"))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE speakers SET name = X'00112233445566778899AABBCCDDEEFF00'")
    with Store(path, stub(), key=key) as store, pytest.raises(EarmarkError, match="damaged"):
        store.names()


def test_a_key_is_its_owners_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key"
    before = os.umask(0)
    try:
        make_key(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = path.read_bytes()
    with pytest.raises(EarmarkError, match="exists already"):
        make_key(path)
    assert path.read_bytes() == secret
    with pytest.raises(EarmarkError, match="cannot write"):
        make_key(tmp_path / "nowhere" / "key")
    path.chmod(0o640)
    with pytest.raises(EarmarkError, match="others may read"):
        Key.read(path)


@pytest.mark.parametrize("junk", ["", "earmark-key-1 ", "earmark-key-1 AAAA\n", "hello", "\0" * 99])
def test_what_is_no_key_is_told(tmp_path: Path, junk: str) -> None:
    path = tmp_path / "key"
    path.write_text(junk)
    path.chmod(0o600)
    with pytest.raises(EarmarkError, match="holds no key"):
        Key.read(path)


SECRET = bytes(range(64))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=20), st.data())
def test_what_is_sealed_opens_whole_or_not_at_all(
    data: bytes, context: bytes, draw: st.DataObject
) -> None:
    key = Key(SECRET)
    sealed = key.seal(data, b"ledger", context)
    assert key.open(sealed, b"ledger", context) == data
    place = draw.draw(st.integers(0, len(sealed) - 1))
    changed = bytearray(sealed)
    changed[place] ^= 1 << draw.draw(st.integers(0, 7))
    for attempt in (
        lambda: key.open(bytes(changed), b"ledger", context),
        lambda: key.open(sealed[:place], b"ledger", context),
        lambda: key.open(sealed, b"ledger", context + b"x"),
        lambda: key.open(sealed, b"name", context),
        lambda: Key(SECRET[::-1]).open(sealed, b"ledger", context),
    ):
        with pytest.raises(ValueError, match="not sealed"):
            attempt()


def test_cryptography_is_loaded_only_with_a_key(path: Path, key: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from voice_store import Store, profile, stub\n"
        "with Store(Path(sys.argv[1]), stub()) as store:\n"
        "    store.enrol(profile('ada'))\n"
        "    print('cryptography' in sys.modules)\n"
        "    store.encrypt(Path(sys.argv[2]))\n"
        "    print('cryptography' in sys.modules)\n"
    )
    words = [sys.executable, "-c", program, str(path), str(key)]
    result = subprocess.run(words, cwd=Path(__file__).parent, capture_output=True, check=True)
    assert result.stdout.split() == [b"False", b"True"]
