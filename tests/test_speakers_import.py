"""Speakers that come from a file: bytes of strangers until everything about them was checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voice_store import SIZE, profile, stub, sums

from edge.errors import EarmarkError
from edge.ledger import Ledger, Update, encode
from edge.sealing import Key, make_key
from edge.speaker_export import decode_export, encode_export, read_export
from edge.speaker_table import Clear
from edge.statistics import Profile
from edge.store import Store

OPENING = b"earmark speakers 1 clear\n"
WHOLE = encode_export(
    stub(), {"ada": Ledger({"default": sums(1)}, (Update("default", sums(2)),))}, Clear()
)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "key")
    return tmp_path / "key"


@pytest.mark.parametrize("encrypted", [False, True])
def test_what_was_exported_comes_back_whole(tmp_path: Path, key: Path, encrypted: bool) -> None:
    used = key if encrypted else None
    with Store(tmp_path / "one.db", stub(), key=used) as store:
        store.enrol(profile("ada", 1))
        store.enrol(profile("ada", 2), condition="telephone")
        store.adapt("ada", sums(3))
        store.enrol(profile("ben", 4))
        before = store.profiles()
        data = store.export()
    assert (b"ada" in data) == (not encrypted)
    with Store(tmp_path / "two.db", stub(), key=used) as store:
        assert [g.profile.name for g in store.import_(data, merge=False)] == ["ada", "ben"]
        for old, new in zip(before, store.profiles(), strict=True):
            assert old.name == new.name
            assert np.array_equal(old.statistics, new.statistics)
        assert np.array_equal(store.undo("ada").statistics, sums(3))


def test_those_who_are_known_are_merged_only_if_asked(tmp_path: Path) -> None:
    with Store(tmp_path / "one.db", stub()) as store:
        store.enrol(Profile("ben", np.ones(SIZE)))
        store.enrol(Profile("ada", np.ones(SIZE)))
        data = store.export()
        store.forget("ben")
        store.enrol(Profile("ada", 2 * np.ones(SIZE)))
        with pytest.raises(EarmarkError, match=r"'ada' already; nobody was imported.*--merge"):
            store.import_(data, merge=False)
        assert store.names() == ["ada"]
        store.import_(data, merge=True)
        assert [p.statistics[0] for p in store.profiles()] == [4, 1]


def test_a_name_is_one_person_in_every_form_of_unicode(tmp_path: Path) -> None:
    joined, apart = "Jos\u00e9", "Jose\u0301"
    one, both = (
        encode_export(stub(), {name: Ledger({"default": sums(2)}) for name in names}, Clear())
        for names in ([apart], [apart, joined])
    )
    with Store(tmp_path / "one.db", stub()) as store:
        store.enrol(profile(joined, 1))
        with pytest.raises(EarmarkError, match=f"'{joined}' already"):
            store.import_(one, merge=False)
        with pytest.raises(EarmarkError, match="two forms of Unicode"):
            store.import_(both, merge=True)
        store.import_(one, merge=True)
        (grown,) = store.profiles()
        assert np.array_equal(grown.statistics, sums(1) + sums(2))


def test_an_encrypted_export_needs_a_store_of_the_same_key(tmp_path: Path, key: Path) -> None:
    with Store(tmp_path / "one.db", stub(), key=key) as store:
        store.enrol(profile("ada"))
        data = store.export()
        store.forget("ada")
        store.import_(WHOLE, merge=False)  # what is in the clear may become encrypted
    make_key(tmp_path / "other")
    for used in (None, tmp_path / "other"):
        with Store(tmp_path / f"{used and used.name}.db", stub(), key=used) as store:
            with pytest.raises(EarmarkError, match="encrypted with the same key"):
                store.import_(data, merge=False)
            assert store.names() == []
    with pytest.raises(EarmarkError, match="or damaged"):
        decode_export(data[:-1] + bytes([data[-1] ^ 1]), stub(), Key.read(key))


GOOD = {"conditions": {"default": sums(1)}}


def file_of(name: str, ledger: Any, model: str = "one") -> bytes:
    return OPENING + encode({"model": model, "speakers": {"ben": GOOD, name: ledger}})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no exported speakers"),
        (b"PK\x03\x04", "no exported speakers"),
        (b"earmark speakers 2 clear\n", "version 1"),
        (OPENING, "damaged"),
        (WHOLE[:-1], "damaged"),
        (WHOLE + b"x", "damaged"),
        (OPENING + msgspec.msgpack.encode([1]), "damaged"),
        (OPENING + b"\x81" * 100_000, "damaged"),
        (OPENING + b"\x82\xa5model\xa3one\xa8speakers" + b"\x81\xa1a" * 100_000, "damaged"),
        (OPENING + b"\x81\xa5\xffodel", "damaged"),
        (OPENING + encode({"model": "one", "speakers": {}, "more": 1}), "unknown field"),
        (file_of("ada", GOOD, model="other"), "model other"),
        (file_of("a/b", GOOD), "cannot be a speaker's name"),
        (file_of("unknown", GOOD), "cannot be a speaker's name"),
        (file_of("\x1b[2J", GOOD), "cannot be a speaker's name"),
        (file_of("ada", {"conditions": {}}), "length >= 1"),
        (file_of("ada", {"conditions": {"default": sums(1)[:-1]}}), "50 expected"),
        (file_of("ada", {"conditions": {"default": b"1234567"}}), "damaged"),
        (file_of("ada", {"conditions": {"default": np.full(SIZE, np.nan)}}), "no statistics"),
        (file_of("ada", {"conditions": {"default": -sums(1)}}), "no statistics"),
        (file_of("ada", {"conditions": {"a\nb": sums(1)}}), "'ada' is damaged"),
        (file_of("ada", {"conditions": {str(i): sums(1) for i in range(17)}}), "at most 16"),
        (file_of("ada", {"conditions": {"default": np.zeros(SIZE)}}), "'ada' is damaged"),
    ],
)
def test_what_cannot_be_imported_changes_nothing(tmp_path: Path, data: bytes, said: str) -> None:
    with Store(tmp_path / "one.db", stub()) as store:
        store.enrol(profile("callum"))
        with pytest.raises(EarmarkError, match=said):
            store.import_(data, merge=True)
        assert store.names() == ["callum"]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_bytes_are_speakers_or_an_error(draw: st.DataObject) -> None:
    start = draw.draw(st.integers(0, len(WHOLE)))
    junk = draw.draw(st.binary(max_size=40))
    end = draw.draw(st.integers(0, len(WHOLE)))
    try:
        found = decode_export(WHOLE[:start] + junk + WHOLE[end:], stub(), Clear())
    except EarmarkError:
        return
    for ledger in found.values():
        ledger.check(SIZE)


def test_a_file_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.speaker_export.MAX_BYTES", 1000)
    with pytest.raises(EarmarkError, match="more than 1000 bytes"):
        read_export(Path("/dev/zero"))
