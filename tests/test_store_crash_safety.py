"""Voices on disk: nothing lost or half-done, nothing readable by others or left when forgotten."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge.encoder import Model
from edge.errors import EarmarkError
from edge.statistics import Profile, Sums
from edge.store import MAX_NAME, Store, check_name, default_path

SIZE = 50
NAMES = [
    "ada",
    "Ada",
    "ada l",
    "bén",
    "данила",
    "李",
    "a'; DROP TABLE speakers; --",
    "x" * MAX_NAME,
]


def stub(identity: str = "one", size: int = SIZE) -> Model:
    """All that a store wants of a model."""
    return cast(Model, SimpleNamespace(id=identity, statistics_size=size))


def sums(seed: int) -> Sums:
    values = np.random.default_rng(seed).normal(size=SIZE)
    values[0] = 1 + seed
    return values


def profile(name: str, seed: int = 1) -> Profile:
    return Profile(name, sums(seed))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "speakers.db"


class StoreAgainstDictionary(RuleBasedStateMachine):
    """Whatever is done in whatever order, and after every reopening, the store is a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="earmark-test-"))
        self.expected: dict[str, Sums] = {}
        self.store = Store(self.folder / "s.db", stub())

    def teardown(self) -> None:
        self.store.__exit__(None, None, None)
        shutil.rmtree(self.folder)

    @rule(name=st.sampled_from(NAMES), seed=st.integers(0, 99))
    def enrol(self, name: str, seed: int) -> None:
        grown = self.store.enrol(profile(name, seed))
        self.expected[name] = sums(seed) + self.expected.get(name, np.zeros(SIZE))
        assert np.array_equal(grown.statistics, self.expected[name])

    @rule(name=st.sampled_from(NAMES), seed=st.integers(0, 99))
    def enrol_what_is_refused(self, name: str, seed: int) -> None:
        def refuse(_: Profile) -> None:
            raise EarmarkError("too little")

        with pytest.raises(EarmarkError, match="too little"):
            self.store.enrol(profile(name, seed), refuse)

    @rule(name=st.sampled_from(NAMES))
    def forget(self, name: str) -> None:
        if name in self.expected:
            self.store.forget(name)
            del self.expected[name]
        else:
            with pytest.raises(EarmarkError, match="nobody is enrolled"):
                self.store.forget(name)

    @rule(old=st.sampled_from(NAMES), new=st.sampled_from(NAMES))
    def rename(self, old: str, new: str) -> None:
        if old in self.expected and new not in self.expected:
            self.store.rename(old, new)
            self.expected[new] = self.expected.pop(old)
        else:
            with pytest.raises(EarmarkError, match=r"nobody is enrolled|already"):
                self.store.rename(old, new)

    @rule()
    def reopen(self) -> None:
        self.store.__exit__(None, None, None)
        self.store = Store(self.folder / "s.db", stub(), create=False)

    @invariant()
    def holds_what_was_put_in(self) -> None:
        found = {p.name: p.statistics for p in self.store.profiles()}
        assert found.keys() == self.expected.keys() == set(self.store.names())
        for name, statistics in found.items():
            assert np.array_equal(statistics, self.expected[name])
            assert np.array_equal(self.store.profile(name).statistics, statistics)


StoreAgainstDictionary.TestCase.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None
)
TestStoreAgainstDictionary = StoreAgainstDictionary.TestCase


def test_owner_alone_may_read(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = tmp_path / "new" / "speakers.db"
        with Store(path, stub()) as store:
            store.enrol(profile("ada"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_forgetting_leaves_no_byte_of_the_voice(path: Path) -> None:
    with Store(path, stub()) as store:
        for seed, name in enumerate(("ada", "secret-name", "callum")):
            store.enrol(profile(name, seed))
        store.enrol(profile("secret-name", 7))
        erased = store.profile("secret-name").statistics
        values = [v.tobytes() for s in (sums(1), sums(7), erased) for v in s]
        assert all(value in path.read_bytes() for value in values[-SIZE:])
        store.forget("secret-name")
    left = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"secret-name" not in left
    assert not any(value in left for value in values)
    assert sums(0)[5].tobytes() in left


def test_renaming_keeps_the_voice_and_refuses_what_would_lose_one(path: Path) -> None:
    with Store(path, stub()) as store:
        store.enrol(profile("ada", 1))
        store.enrol(profile("ben", 2))
        for old, new, said in (
            ("ada", "ben", "already"),
            ("ada", "ada", "already"),
            ("cleo", "dora", "nobody is enrolled as 'cleo'"),
            ("ada", "a/b", "cannot be a speaker's name"),
        ):
            with pytest.raises(EarmarkError, match=said):
                store.rename(old, new)
        assert store.names() == ["ada", "ben"]
        store.rename("ada", "Ada L")
        assert np.array_equal(store.profile("Ada L").statistics, sums(1))


def test_a_profile_of_another_model_is_told_and_can_be_forgotten(path: Path) -> None:
    with Store(path, stub("old")) as store:
        store.enrol(profile("ada"))
    with Store(path, stub("new")) as store:
        for use in (
            store.profiles,
            lambda: store.profile("ada"),
            lambda: store.enrol(profile("ada")),
        ):
            with pytest.raises(EarmarkError, match="model old"):
                use()
        store.enrol(profile("ben"))  # the others are not held up by it
        assert store.names() == ["ada", "ben"]
        store.forget("ada")
        assert [p.name for p in store.profiles()] == ["ben"]


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\0" * (8 * SIZE),
        sums(1).tobytes()[:-1],
        np.full(SIZE, np.nan).tobytes(),
        np.full(SIZE, np.inf).tobytes(),
        (-sums(1)).tobytes(),
    ],
)
def test_a_damaged_profile_is_told(path: Path, blob: bytes) -> None:
    with Store(path, stub()) as store:
        store.enrol(profile("ada"))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE speakers SET statistics = ?", (blob,))
    with Store(path, stub()) as store:
        with pytest.raises(EarmarkError, match=r"profile of 'ada'.*damaged"):
            store.profiles()
        with pytest.raises(EarmarkError, match="damaged"):
            store.enrol(profile("ada", 2))
        store.forget("ada")
        assert store.profiles() == []


def test_what_is_no_store_is_refused_and_left_alone(path: Path, tmp_path: Path) -> None:
    path.write_text("a diary, and no database at all\n" * 50)
    before = path.read_bytes()
    with pytest.raises(EarmarkError, match="not a database"):
        Store(path, stub())
    assert path.read_bytes() == before
    with pytest.raises(EarmarkError, match="cannot use"):
        Store(tmp_path, stub())
    with pytest.raises(EarmarkError, match="cannot use"):
        Store(path / "below.db", stub())
    missing = tmp_path / "missing.db"
    with pytest.raises(EarmarkError, match=r"no store at .*missing\.db"):
        Store(missing, stub(), create=False)
    assert not missing.exists()


def test_the_database_of_another_program_is_refused(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(EarmarkError, match="another program"):
        Store(path, stub())
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(EarmarkError, match="version 9, expected 1"):
        Store(path, stub())
    assert len(path.read_bytes()) == len(before)


def test_damage_found_late_is_no_traceback(path: Path) -> None:
    with Store(path, stub()) as store:
        for seed in range(40):
            store.enrol(profile(f"voice {seed}", seed))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with Store(path, stub()) as store, pytest.raises(EarmarkError, match="cannot use"):
        store.profiles()


CRASHING = """
import sys, numpy
from pathlib import Path
from types import SimpleNamespace
from edge.statistics import Profile
from edge.store import Store
with Store(Path(sys.argv[1]), SimpleNamespace(id="one", statistics_size=50)) as store:
    while True:
        store.enrol(Profile("ada", numpy.ones(50)))
        store.enrol(Profile("ben", numpy.ones(50)))
        store.forget("ben")
        print(flush=True)
"""


@pytest.mark.parametrize("rounds", [1, 4, 9])
def test_a_process_killed_while_writing_leaves_all_or_nothing(path: Path, rounds: int) -> None:
    writer = subprocess.Popen([sys.executable, "-c", CRASHING, str(path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    for _ in range(rounds):
        assert writer.stdout.readline()
    writer.kill()
    writer.wait()
    written = rounds + len(writer.stdout.read().splitlines())
    writer.stdout.close()
    with Store(path, stub()) as store:
        ada = store.profile("ada").statistics
        assert np.all(ada == ada[0])
        assert ada[0] in (written, written + 1)
        assert set(store.names()) <= {"ada", "ben"}
        store.enrol(profile("cleo"))


def test_two_writers_lose_nothing_of_each_other(path: Path) -> None:
    def enrol_often() -> None:
        with Store(path, stub()) as store:
            for _ in range(15):
                store.enrol(Profile("ada", np.ones(SIZE)))

    writers = [threading.Thread(target=enrol_often) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with Store(path, stub()) as store:
        assert np.array_equal(store.profile("ada").statistics, np.full(SIZE, 45.0))


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "\t",
        " ada",
        "ada ",
        "a/b",
        "a\nb",
        "a\0b",
        "\x1b[2J",
        "\udcff",
        "x" * (MAX_NAME + 1),
        "unknown",
        "speaker1",
        "speaker42",
    ],
)
def test_names_that_cannot_be(path: Path, name: str) -> None:
    with Store(path, stub()) as store:
        with pytest.raises(EarmarkError, match="cannot be a speaker's name"):
            store.enrol(profile(name))
        for use in (store.profile, store.forget):
            with pytest.raises(EarmarkError, match="nobody is enrolled"):
                use(name)
        assert store.names() == []


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=80))
def test_a_name_is_accepted_or_refused_never_changed(name: str) -> None:
    with contextlib.suppress(EarmarkError):
        check_name(name)
        assert name == name.strip()
        assert name.isprintable()
        assert len(name.splitlines()) == 1


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_path() == tmp_path / "earmark" / "speakers.db"
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path() == tmp_path / ".local" / "share" / "earmark" / "speakers.db"
