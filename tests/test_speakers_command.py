"""`earmark speakers`, and --key wherever a store is used, as a user runs them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from voices import ENROLMENT, ada, model, two_voices

from edge.cli import main
from edge.config import Config
from edge.config_file import load_config
from edge.enrolment import profile_from_audio
from edge.statistics import Profile
from edge.store import Store


class Shell:
    """Runs commands in one folder, on one store."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object, status: int = 0) -> str:
        """What is printed: on standard output, or the one line of an error."""
        assert main([str(word) for word in words]) == status
        shown = self._capsys.readouterr()
        if status == 1:
            assert shown.out == ""
            (complaint,) = shown.err.splitlines()
            return complaint
        return shown.out


@pytest.fixture
def earmark(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(capsys)


STORE = ("--store", "s.db")
SPEECH = f"{float(model().seconds(ada().statistics)):.1f} s of speech"
TWICE = f"{float(model().seconds(2 * ada().statistics)):.1f} s of speech"


@pytest.fixture
def store(earmark: Shell, tmp_path: Path) -> Path:
    path = tmp_path / "s.db"
    with Store(path, model()) as opened:
        opened.enrol(ada())
    return path


def test_what_matching_added_is_shown_and_undone(earmark: Shell, store: Path) -> None:
    with Store(store, model()) as opened:
        opened.adapt("ada", ada().statistics, "telephone")
    shown = earmark("speakers", "show", "ada", *STORE)
    assert f"speech   {TWICE}\n" in shown
    assert f"{SPEECH}, default\n" in shown
    assert f"{SPEECH}, telephone: an update\n" in shown
    assert earmark("speakers", "undo", "ada", *STORE) == f"{SPEECH} taken from ada\n"
    assert f"speech   {SPEECH}\n" in earmark("speakers", "show", "ada", *STORE)
    assert "no update that could be undone" in earmark("speakers", "undo", "ada", *STORE, status=1)


def test_two_names_of_one_voice_become_one(earmark: Shell, store: Path) -> None:
    with Store(store, model()) as opened:
        opened.enrol(Profile("ada2", ada().statistics), condition="telephone")
    merged = earmark("speakers", "merge", "ada", "ada2", *STORE)
    assert merged == f"ada2 is part of ada now: {TWICE}\n"
    assert earmark("speakers", "list", *STORE).split() == ["ada", *TWICE.split()]
    assert "nobody is enrolled as 'ada2'" in earmark(
        "speakers", "merge", "ada", "ada2", *STORE, status=1
    )
    assert "with itself" in earmark("speakers", "merge", "ada", "ada", *STORE, status=1)


def test_two_voices_become_one_by_force_alone(earmark: Shell, store: Path) -> None:
    one, other = (profile_from_audio(model(), "ben", samples) for samples in two_voices())
    with Store(store, model()) as opened:
        opened.enrol(one)
        opened.enrol(Profile("eve", other.statistics))
    with Store(Path("other.db"), model()) as opened:
        opened.enrol(other)
    earmark("speakers", "export", "voices", "--store", "other.db")
    for words in (("merge", "ben", "eve"), ("import", "voices", "--merge")):
        complaint = earmark("speakers", *words, *STORE, status=1)
        assert "llr with what is known of ben is -" in complaint
        assert "nothing was changed" in complaint and "--force" in complaint
        with Store(store, model()) as opened:
            assert opened.names() == ["ada", "ben", "eve"]
            assert opened.profile("ben").statistics[0] == one.statistics[0]
    earmark("speakers", "merge", "ben", "eve", "--force", *STORE)
    earmark("speakers", "merge", "ada", "ben", "--force", *STORE)
    with Store(store, model()) as opened:
        opened.enrol(one)
    earmark("speakers", "import", "voices", "--merge", "--force", *STORE)
    with Store(store, model()) as opened:
        grown = opened.profile("ben").statistics
    assert grown[0] == one.statistics[0] + other.statistics[0]


def test_the_same_speech_counts_once(earmark: Shell, store: Path) -> None:
    again = "ada: the same speech, not counted again"
    assert again in earmark("enroll", "ada", ENROLMENT, ENROLMENT, *STORE)
    earmark("enroll", "ada2", ENROLMENT, *STORE)
    earmark("speakers", "export", "voices", *STORE)
    for words in (("merge", "ada", "ada2"), ("import", "voices", "--merge")):
        assert again in earmark("speakers", *words, *STORE)
        assert f"speech   {SPEECH}\n" in earmark("speakers", "show", "ada", *STORE)


def test_a_name_is_one_person_in_every_form_of_unicode(earmark: Shell, store: Path) -> None:
    joined, apart = "Jos\u00e9", "Jose\u0301"
    earmark("enroll", apart, ENROLMENT, *STORE)
    earmark("enroll", joined, ENROLMENT, *STORE)
    assert earmark("speakers", "list", *STORE).count(joined) == 1
    for name in (joined, apart):
        assert json.loads(earmark("verify", name, ENROLMENT, "--json", *STORE))["claimed"] == joined
        assert f"name     {joined}\n" in earmark("speakers", "show", name, *STORE)
    assert "with itself" in earmark("speakers", "merge", joined, apart, *STORE, status=1)
    assert "already" in earmark("speakers", "rename", "ada", apart, *STORE, status=1)
    earmark("speakers", "forget", apart, *STORE)
    assert joined not in earmark("speakers", "list", *STORE)


def test_speakers_are_carried_to_another_store(earmark: Shell, store: Path) -> None:
    assert earmark("speakers", "export", "voices", *STORE) == "everybody is in voices\n"
    assert stat.S_IMODE(Path("voices").stat().st_mode) == 0o600
    assert "exists already" in earmark("speakers", "export", "voices", *STORE, status=1)
    other = ("--store", "new/other.db")
    assert earmark("speakers", "import", "voices", *other) == "imported: ada\n"
    assert "--merge" in earmark("speakers", "import", "voices", *other, status=1)
    earmark("speakers", "import", "voices", "--merge", *other)
    assert SPEECH in earmark("speakers", "list", *other)
    assert "cannot read" in earmark("speakers", "import", "missing", *other, status=1)
    assert "no exported speakers" in earmark("speakers", "import", ENROLMENT, *other, status=1)


def test_an_import_that_fails_makes_nothing(earmark: Shell, store: Path) -> None:
    for made in ("key", "other"):
        earmark("speakers", "keygen", made)
    earmark("speakers", "encrypt", *STORE, "--key", "key")
    earmark("speakers", "export", "voices", *STORE, "--key", "key")
    Path("damaged").write_bytes(Path("voices").read_bytes()[:-1])
    empty = ("--store", "empty.db")
    with Store(Path("empty.db"), model()):
        pass
    for file, key, said in (
        ("voices", ("--key", "other"), "with another key"),
        ("voices", ("--key", "missing"), "cannot read the key"),
        ("voices", (), "no key was given"),
        ("damaged", ("--key", "key"), "or damaged"),
        ("missing", ("--key", "key"), "cannot read missing"),
    ):
        for place in (empty, ("--store", "new/store.db")):
            assert said in earmark("speakers", "import", file, *place, *key, status=1)
        assert not Path("new").exists()
    earmark("speakers", "import", "voices", *empty, "--key", "key")
    assert "ada" in earmark("speakers", "list", *empty, "--key", "key")


def test_an_encrypted_store_opens_with_its_key_alone(earmark: Shell, store: Path) -> None:
    assert "keep a copy" in earmark("speakers", "keygen", "key")
    assert "exists already" in earmark("speakers", "keygen", "key", status=1)
    key = (*STORE, "--key", "key")
    assert "not encrypted" in earmark("speakers", "list", *key, status=1)
    assert "s.db is encrypted" in earmark("speakers", "encrypt", *key)
    assert "s.db is encrypted already" in earmark("speakers", "encrypt", *key, status=1)
    assert b"ada" not in store.read_bytes()
    for words in (
        ("enroll", "ada", ENROLMENT),
        ("verify", "ada", ENROLMENT),
        ("identify", ENROLMENT),
        ("diarize", ENROLMENT),
        ("speakers", "list"),
        ("speakers", "forget", "ada"),
        ("run", "--wav", ENROLMENT, "--fast", "--endpoint", "ipc://socket"),
    ):
        assert "s.db is encrypted. Give its key with --key" in earmark(*words, *STORE, status=1)
        earmark(*words, *key)
    assert earmark("speakers", "list", *key) == ""


def test_matching_never_changes_a_profile(earmark: Shell, store: Path) -> None:
    earmark("speakers", "list", *STORE)
    before = store.read_bytes()
    for words in (
        ("verify", "ada", ENROLMENT),
        ("identify", ENROLMENT),
        ("diarize", ENROLMENT),
        ("run", "--wav", ENROLMENT, "--fast", "--endpoint", "ipc://socket"),
    ):
        earmark(*words, *STORE)
    assert store.read_bytes() == before
    assert list(store.parent.glob("s.db*")) == [store]


def test_the_daemon_is_told_the_key_in_its_settings(earmark: Shell, store: Path) -> None:
    settings = Path("my.yaml")
    settings.write_text("store: s.db\nkey: key\n")
    assert load_config(Config, settings).key == "key"
    words = ("run", "--config", settings, "--wav", ENROLMENT, "--fast", "--endpoint", "ipc://so")
    assert "cannot read the key key" in earmark(*words, status=1)
    earmark("speakers", "keygen", "key")
    earmark("speakers", "encrypt", *STORE, "--key", "key")
    earmark(*words)


def test_doctor_finds_no_fault_with_an_encrypted_store(
    earmark: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge.commands.doctor import CHECKS, diagnose

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    earmark("speakers", "keygen", "key")
    earmark("enroll", "ada", ENROLMENT, "--key", "key")
    (check,) = [check for check in CHECKS if check.name == "speakers"]
    status, said, _ = diagnose(check)
    assert status == "ok"
    assert said.endswith("is encrypted")
