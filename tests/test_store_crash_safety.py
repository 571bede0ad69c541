"""Voices on disk: nothing lost or half-done, nothing readable by others or left when forgotten."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import msgspec
import numpy as np
import pytest
from daemons import HANGING
from hypothesis import given, settings
from hypothesis import strategies as st
from voice_store import SIZE, bytes_on_disk, profile, stub, sums

from edge.cli import main
from edge.errors import EarmarkError
from edge.journal import default_journal
from edge.ledger import MAX_CONDITIONS, MAX_UPDATES, encode
from edge.names import MAX_NAME, check_name
from edge.sealing import make_key
from edge.statistics import Profile, Sums
from edge.store import Store, default_path

HERE = Path(__file__).parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "speakers.db"


def test_owner_alone_may_read(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = tmp_path / "above" / "new" / "speakers.db"
        with Store(path, stub()) as store:
            store.enrol(profile("ada"))
            files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert files == dict.fromkeys(["speakers.db", "speakers.db-wal", "speakers.db-shm"], 0o600)
    for folder in (path.parent, path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("way", ["forget", "merge"])
def test_who_is_gone_leaves_no_byte(path: Path, way: str) -> None:
    with Store(path, stub()) as store, Store(path, stub()) as reader:
        for seed, name in enumerate(("ada", "secret-name", "callum")):
            store.enrol(profile(name, seed))
        store.enrol(profile("secret-name", 7))
        store.adapt("secret-name", sums(8), "secret-place")
        values = [v.tobytes() for s in (sums(1), sums(1) + sums(7), sums(8)) for v in s[1:]]
        assert all(value in bytes_on_disk(path) for value in values)
        if way == "forget":
            store.forget("secret-name")
        else:
            store.rename("secret-name", "gone-name")
            store.merge("ada", "gone-name")
        assert "secret-name" not in reader.names()  # an open reader keeps the -wal in place
        left = bytes_on_disk(path)
        assert (path.parent / f"{path.name}-wal").exists()
    for found in (left, bytes_on_disk(path)):
        assert b"secret-name" not in found
        assert b"gone-name" not in found
        assert not any(value in found for value in values[: 2 * (SIZE - 1)])
        assert b"callum" in found
    assert (b"secret-place" in left) == (way == "merge")


def test_forgetting_erases_what_a_killed_process_left_behind(path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from voice_store import Store, profile, stub\n"
        "store = Store(Path(sys.argv[1]), stub())\n"
        "store.enrol(profile('secret-name', 1)); store.enrol(profile('callum', 2))\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], cwd=HERE, check=False)
    assert b"secret-name" in (path.parent / f"{path.name}-wal").read_bytes()
    with Store(path, stub(), create=False) as store:
        store.forget("secret-name")
        assert store.names() == ["callum"]
        left = bytes_on_disk(path)
    assert b"secret-name" not in left
    assert not any(value.tobytes() in left for value in sums(1)[1:])


def test_forgetting_says_when_a_reader_keeps_the_bytes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.database.BUSY_SECONDS", 0.1)
    with Store(path, stub()) as store:
        store.enrol(profile("ada"))
        with contextlib.closing(sqlite3.connect(path)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM speakers").fetchall()
            with pytest.raises(EarmarkError, match="another process is reading"):
                store.forget("ada")
        assert store.names() == []
    assert b"ada" not in bytes_on_disk(path)


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


def ledger_of(statistics: Sums, condition: str = "default") -> bytes:
    return encode({"conditions": {condition: statistics}})


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\0" * (8 * SIZE),
        sums(1).tobytes()[:-1],
        msgspec.msgpack.encode({"conditions": {}}),
        ledger_of(sums(1)[:-1]),
        ledger_of(np.full(SIZE, np.nan)),
        ledger_of(np.full(SIZE, np.inf)),
        ledger_of(-sums(1)),
        ledger_of(sums(1), "a/b"),
        msgspec.msgpack.encode({"conditions": {"default": sums(1).tobytes()[:-1]}}),
        msgspec.msgpack.encode({"conditions": {"default": "text"}}),
        encode({"conditions": {f"{i}": sums(1) for i in range(MAX_CONDITIONS + 1)}}),
        encode(
            {
                "conditions": {"default": sums(1)},
                "updates": [{"condition": "default", "statistics": sums(1)}] * (MAX_UPDATES + 1),
            }
        ),
    ],
)
def test_a_damaged_profile_is_told(path: Path, blob: bytes) -> None:
    with Store(path, stub()) as store:
        store.enrol(profile("ada"))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE speakers SET ledger = ?", (blob,))
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
    with pytest.raises(EarmarkError, match=r"version 9, expected 2.*newer Earmark"):
        Store(path, stub())
    assert len(path.read_bytes()) == len(before)


def test_damage_found_late_is_no_traceback(path: Path) -> None:
    with Store(path, stub()) as store:
        for seed in range(40):
            store.enrol(profile(f"voice {seed}", seed))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(EarmarkError, match="cannot use"), Store(path, stub()) as store:
        store.profiles()


WRITING = """
import sys
from pathlib import Path
import numpy
from voice_store import SIZE, Profile, Store, stub
key = Path(sys.argv[2]) if len(sys.argv) > 2 else None
with Store(Path(sys.argv[1]), stub(), key=key) as store:
    while True:
        for name in ("ada", "ben"):
            store.enrol(Profile(name, numpy.ones(SIZE)))
        store.adapt("ben", 3 * numpy.ones(SIZE))
        store.undo("ben")
        store.rename("ben", "cleo")
        store.merge("ada", "cleo")
        store.enrol(Profile("dora", numpy.ones(SIZE)))
        store.forget("dora")
        print(flush=True)
"""


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_process_killed_while_writing_leaves_a_whole_store(path: Path, encrypted: bool) -> None:
    """Every round adds two to ada, one of them by way of others; what is acknowledged stays."""
    key = path.with_suffix(".key") if encrypted else None
    if key:
        make_key(key)
    moments = np.random.default_rng(5).uniform(0, 0.06, size=12)
    with Store(path, stub(), key=key) as store:  # or what comes to ada would be what she has
        store.enrol(Profile("ada", 2 * np.ones(SIZE)))
    acknowledged = 1
    for seconds in moments:
        words = [sys.executable, "-c", WRITING, str(path), *([str(key)] if key else [])]
        writer = subprocess.Popen(words, stdout=subprocess.PIPE, cwd=HERE)
        assert writer.stdout is not None
        assert writer.stdout.readline()
        time.sleep(seconds)
        writer.kill()
        writer.wait()
        acknowledged += 1 + len(writer.stdout.read().splitlines())
        writer.stdout.close()
        with contextlib.closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with Store(path, stub(), create=False, key=key) as store:
            found = {p.name: p.statistics for p in store.profiles()}
            assert all(np.all(statistics == statistics[0]) for statistics in found.values())
            assert found.keys() <= {"ada", "ben", "cleo", "dora"}
            total = found["ada"][0]
            assert 2 * acknowledged <= total <= 2 * acknowledged + 2
            for name in found.keys() - {"ada"}:
                store.forget(name)
            if total % 2:  # killed in the middle of a round: the next begins even
                store.enrol(Profile("ada", np.ones(SIZE)))
            acknowledged = int(store.profile("ada").statistics[0]) // 2


def test_processes_that_write_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    """They also create the stores at once."""
    program = (
        "import sys; from pathlib import Path; from voice_store import Store, profile, stub\n"
        "print(flush=True); sys.stdin.readline()\n"
        "for number in range(20):\n"
        "    with Store(Path(sys.argv[1]) / str(number), stub()) as store:\n"
        "        store.enrol(profile('ada', int(sys.argv[2])))\n"
        "        store.enrol(profile('own ' + sys.argv[2]))\n"
        "        store.forget('own ' + sys.argv[2])\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=HERE,
        )
        for number in range(3)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        _, complaint = writer.communicate(timeout=HANGING)
        assert (writer.returncode, complaint) == (0, "")
    for number in range(20):
        with Store(tmp_path / str(number), stub(), create=False) as store:
            assert store.names() == ["ada"]
            expected = sums(0) + sums(1) + sums(2)  # in whichever order
            np.testing.assert_allclose(store.profile("ada").statistics, expected, rtol=1e-12)


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


def test_a_user_without_a_home_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a container that does not know its user."""

    def unknown(user: int) -> NoReturn:
        raise KeyError(user)

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert main(["speakers", "list"]) == 1
    assert "Set HOME, or XDG_DATA_HOME" in capsys.readouterr().err
    with pytest.raises(EarmarkError, match="Set HOME, or XDG_STATE_HOME"):
        default_journal("tcp://127.0.0.1:7707")
