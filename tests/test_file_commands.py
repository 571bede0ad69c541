"""enroll, verify, identify, diarize and speakers, as a user runs them, on the bundled voices."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from daemons import HANGING
from shell import earmark
from voices import CONVERSATION, ENROLMENT, RATE, TRUTH, ada, beginning, conversation, model

from edge.audio import read_audio
from edge.cli import main
from edge.enrolment import profile_from_audio
from edge.errors import EarmarkError
from edge.rttm import read_rttm
from edge.statistics import Profile
from edge.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "speakers.db"


@pytest.fixture
def enrolled(store: Path) -> Path:
    """A store that knows ada."""
    with Store(store, model()) as opened:
        opened.enrol(ada())
    return store


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """The first 20 s of the conversation, as a WAV of another rate and two channels."""
    path = tmp_path / "short.wav"
    soundfile.write(path, np.stack([beginning()] * 2, axis=1), RATE)
    return path


def alone(tmp_path: Path, speaker: str) -> Path:
    """What one of the four says in the conversation while nobody else speaks."""
    turns = read_rttm(TRUTH)
    others = [t for t in turns if t.speaker != speaker]
    pieces = [
        conversation()[int(t.start * RATE) : int(t.end * RATE)]
        for t in turns
        if t.speaker == speaker and all(o.end <= t.start or t.end <= o.start for o in others)
    ]
    path = tmp_path / f"{speaker}.wav"
    soundfile.write(path, np.concatenate(pieces), RATE)
    return path


def silence(tmp_path: Path) -> Path:
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(3 * RATE), RATE)
    return path


def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.wav"
    path.write_bytes(alone(tmp_path, "ada").read_bytes()[:50_000])
    return path


def the_profiles(path: Path) -> list[Profile]:
    with Store(path, model(), create=False) as opened:
        return opened.profiles()


def assert_one_clear_line(
    words: Sequence[object], capsys: pytest.CaptureFixture[str], *said: str
) -> None:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    (complaint,) = shown.err.splitlines()
    assert complaint.startswith("earmark: ")
    for word in said:
        assert word in complaint


def test_a_voice_from_enrolment_to_oblivion(store: Path, tmp_path: Path) -> None:
    enrol = earmark("enroll", "ada", ENROLMENT, "--store", store)
    assert (enrol.returncode, enrol.stderr) == (0, "")
    seconds = float(model().seconds(ada().statistics))
    assert f"{seconds:.1f} s of speech added, {seconds:.1f} s in all" in enrol.stdout
    own = alone(tmp_path, "ada")
    more = profile_from_audio(model(), "ada", read_audio(own)).statistics
    total = ada().statistics + more
    new, whole = (f"{float(model().seconds(sums)):.1f} s" for sums in (more, total))
    again = earmark("enroll", "ada", own, "--store", store)
    assert f"{new} of speech added, {whole} in all" in again.stdout
    (grown,) = the_profiles(store)
    np.testing.assert_allclose(grown.statistics, total, rtol=1e-12)
    listed = earmark("speakers", "list", "--store", store)
    assert listed.stdout.split() == ["ada", *whole.split(), "of", "speech"]
    assert whole in earmark("speakers", "show", "ada", "--store", store).stdout
    assert earmark("speakers", "rename", "ada", "Ada L", "--store", store).returncode == 0
    forgotten = earmark("speakers", "forget", "Ada L", "--store", store)
    assert (forgotten.returncode, forgotten.stdout) == (0, "Ada L is forgotten\n")
    empty = earmark("speakers", "list", "--store", store)
    assert (empty.returncode, empty.stdout) == (0, "")
    assert "nobody is enrolled" in empty.stderr


def test_enrolment_is_all_or_nothing(
    enrolled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = enrolled.read_bytes()
    words = ["--store", enrolled]
    for name in ("ada", "ben"):
        for bad, said in (
            (broken(tmp_path), "cut off"),
            (silence(tmp_path), "heard none"),
            (tmp_path / "missing.wav", "No such file"),
            (TRUTH, "expected WAV, FLAC or Ogg"),
        ):
            line = ["enroll", name, ENROLMENT, bad, *words]
            assert_one_clear_line(line, capsys, bad.name, said)
    assert enrolled.read_bytes() == before
    fresh = tmp_path / "fresh.db"
    assert_one_clear_line(["enroll", "ada", silence(tmp_path), "--store", fresh], capsys, "none")
    assert not fresh.exists()


def test_too_little_speech_to_begin_with_is_enough_to_add(
    enrolled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, conversation()[RATE : 3 * RATE], RATE)
    words = ["--store", enrolled]
    assert_one_clear_line(["enroll", "ben", clip, *words], capsys, "ben needs 3 s of speech")
    fresh = tmp_path / "fresh.db"
    assert_one_clear_line(["enroll", "ben", clip, "--store", fresh], capsys, "needs 3 s")
    assert not fresh.exists()
    assert main(["enroll", "ada", str(clip), "--store", str(enrolled)]) == 0
    assert [profile.name for profile in the_profiles(enrolled)] == ["ada"]


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a\nb", "x" * 65, "speaker7", "unknown"])
def test_names_that_cannot_be(name: str, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["enroll", name, ENROLMENT, "--store", store]
    assert_one_clear_line(line, capsys, "cannot be a speaker's name", "Choose")
    assert not store.exists()


def test_ada_is_ada_and_the_others_are_not(enrolled: Path, tmp_path: Path) -> None:
    """Needs an encoder that tells these four synthetic voices apart, as a trained one does."""
    words = ["--store", enrolled, "--json"]
    own, other, nothing = alone(tmp_path, "ada"), alone(tmp_path, "ben"), silence(tmp_path)

    yes = earmark("verify", "ada", own, ENROLMENT, *words)
    assert yes.returncode == 0, yes.stdout
    first, second = map(json.loads, yes.stdout.splitlines())
    assert first.keys() == {"file", "claimed", "answer", "llr", "seconds", "operating_point"}
    assert (first["file"], first["claimed"], first["answer"]) == (str(own), "ada", "yes")
    assert second["operating_point"] == {"false_accept": 0.01, "miss": 0.01}
    assert 0 < second["seconds"] < 7, "answered before the end of the file"

    no = earmark("verify", "ada", own, other, nothing, *words)
    assert no.returncode == 3
    answers = [json.loads(line)["answer"] for line in no.stdout.splitlines()]
    assert answers == ["yes", "no", "not yet"]

    found = earmark("identify", own, *words)
    assert found.returncode == 0
    who = json.loads(found.stdout)
    assert who.keys() == {
        *("file", "best", "answer", "llr", "runner_up", "margin", "seconds", "operating_point")
    }
    assert (who["best"], who["answer"], who["runner_up"]) == ("ada", "yes", None)
    assert earmark("identify", other, *words).returncode == 3


def test_the_likelier_of_two_is_told_with_the_runner_up(
    enrolled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ben = alone(tmp_path, "ben")
    words = ["--store", str(enrolled)]
    assert main(["enroll", "ben", str(ben), *words]) == 0
    capsys.readouterr()
    main(["identify", str(ENROLMENT), str(ben), "--json", *words])
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["best"], first["runner_up"]) == ("ada", "ben")
    assert (second["best"], second["runner_up"]) == ("ben", "ada")
    assert first["margin"] > 0 < second["margin"]
    main(["identify", str(ENROLMENT), *words])
    shown = capsys.readouterr().out
    assert "ada llr" in shown
    assert "before ben" in shown


def test_silence_is_not_yet(
    enrolled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing, words = str(silence(tmp_path)), ["--store", str(enrolled)]
    assert main(["verify", "ada", nothing, *words]) == 4
    assert main(["identify", nothing, *words]) == 4
    assert capsys.readouterr().out.count("not yet") == 2


@pytest.mark.parametrize("command", [["verify", "ada"], ["identify"]])
def test_trials_that_cannot_be(
    command: list[str], enrolled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, words = alone(tmp_path, "ada"), ["--store", enrolled]
    assert_one_clear_line([*command, broken(tmp_path), *words], capsys, "cut off")
    missing = tmp_path / "missing.db"
    assert_one_clear_line([*command, own, "--store", missing], capsys, "nobody is enrolled")
    assert not missing.exists()
    assert_one_clear_line([*command, own, *words, "--model", tmp_path], capsys, "no model at")
    if command[0] == "verify":
        assert_one_clear_line(["verify", "bob", own, *words], capsys, "as 'bob'", "speakers list")


@pytest.mark.parametrize("command", [["verify", "ada"], ["identify"]])
def test_a_bad_file_does_not_cost_the_others_their_answers(
    command: list[str], enrolled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, bad, missing = alone(tmp_path, "ada"), broken(tmp_path), tmp_path / "missing.wav"
    files = [str(path) for path in (bad, own, missing, ENROLMENT)]
    assert main([*command, *files, "--json", "--store", str(enrolled)]) == 1
    shown = capsys.readouterr()
    answers = [json.loads(line) for line in shown.out.splitlines()]
    assert [(a["file"], a["answer"]) for a in answers] == [
        (str(own), "yes"),
        (str(ENROLMENT), "yes"),
    ]
    first, second = shown.err.splitlines()
    assert "broken.wav" in first
    assert "missing.wav" in second


@pytest.mark.parametrize(
    "command", [["verify", "ada"], ["identify"], ["diarize"], ["enroll", "bob"]]
)
def test_a_file_name_that_is_not_utf_8_is_heard(
    command: list[str], enrolled: Path, tmp_path: Path
) -> None:
    strange = tmp_path / os.fsdecode(b"caf\xe9.wav")
    speaker = "ben" if command[0] == "enroll" else "ada"
    alone(tmp_path, speaker).rename(strange)
    result = earmark(*command, strange, "--store", enrolled)
    assert result.returncode == 0, result.stderr
    assert "caf?.wav" in result.stdout


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_who_spoke_is_written_of_a_file_name_that_is_not_utf_8(
    short: Path, tmp_path: Path, jobs: str
) -> None:
    recordings, out = tmp_path / "recordings", tmp_path / "out"
    recordings.mkdir()
    out.mkdir()
    shutil.copy(short, recordings / "z.wav")
    strange = short.rename(recordings / os.fsdecode(b"caf\xe9.wav"))
    words = ["diarize", recordings, "--anonymous", "--jobs", jobs]
    outputs = ["--srt", out, "--plot", out, "--json", tmp_path / "all.json"]
    result = earmark(*words, *outputs, "--rttm", "-")
    assert result.returncode == 0, result.stderr
    assert {line.split()[1] for line in result.stdout.splitlines()} == {r"caf\udce9", "z"}
    assert sorted(os.listdir(os.fsencode(out))) == [
        b"caf\xe9.srt", b"caf\xe9.svg", b"z.srt", b"z.svg",
    ]  # fmt: skip
    lines = (tmp_path / "all.json").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["file"] == str(strange)
    assert earmark(*words, "--rttm", tmp_path / "all.rttm").returncode == 0
    assert read_rttm(tmp_path / "all.rttm")


def test_nobody_is_left_to_identify(enrolled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speakers", "forget", "ada", "--store", str(enrolled)]) == 0
    line = ["identify", ENROLMENT, "--store", enrolled]
    assert_one_clear_line(line, capsys, "nobody is enrolled", "earmark enroll")


def test_diarizing_prints_who_spoke_when(
    enrolled: Path, short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rttm, document = tmp_path / "out.rttm", tmp_path / "out.json"
    words = ["diarize", str(short), "--store", str(enrolled)]
    assert main([*words, "--rttm", str(rttm), "--json", str(document)]) == 0
    assert capsys.readouterr().out == ""
    turns = read_rttm(rttm)
    parsed = json.loads(document.read_text(encoding="utf-8"))
    assert parsed["file"] == str(short)
    assert parsed["seconds"] == 20.0
    assert [(t["start"], t["end"], t["speaker"]) for t in parsed["turns"]] == [
        (round(turn.start, 3), round(turn.end, 3), turn.speaker) for turn in turns
    ]
    assert all(0 <= turn.start < turn.end <= 20 for turn in turns)
    assert parsed["speakers"].keys() == {turn.speaker for turn in turns}
    for option, text in (("--rttm", rttm.read_text()), ("--json", document.read_text())):
        assert main([*words, option, "-"]) == 0
        assert capsys.readouterr().out == text
    assert main(words) == 0
    table = capsys.readouterr().out
    assert "speaker" in table
    for turn in turns:
        assert f"{turn.start:9.1f}  {turn.end:9.1f}" in table


def test_the_conversation_has_its_speakers(enrolled: Path) -> None:
    """Needs an encoder that tells these four synthetic voices apart, as a trained one does."""
    result = earmark("diarize", CONVERSATION, "--store", enrolled, "--json", "-")
    assert result.returncode == 0
    speakers = json.loads(result.stdout)["speakers"]
    assert speakers["ada"] > 10
    assert 3 <= sum(seconds > 3 for seconds in speakers.values()) <= 5


def test_enrolled_names_are_used_only_where_they_are_wanted(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def speakers(*words: str) -> set[str]:
        assert main(["diarize", str(short), "--json", "-", *words]) == 0
        return set(json.loads(capsys.readouterr().out)["speakers"])

    assert "ada" not in speakers()
    assert not (tmp_path / "data").exists()
    assert main(["enroll", "ada", str(ENROLMENT)]) == 0
    capsys.readouterr()
    assert "ada" in speakers()
    assert "ada" not in speakers("--anonymous")


def test_diarizing_what_cannot_be(
    short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["diarize", "--anonymous"]
    assert_one_clear_line([*words, broken(tmp_path)], capsys, "cut off")
    (tmp_path / "empty").mkdir()
    assert_one_clear_line([*words, tmp_path / "empty"], capsys, "holds no WAV, FLAC or Ogg")
    nowhere = tmp_path / "nowhere" / "x.rttm"
    assert_one_clear_line([*words, short, "--json", nowhere], capsys, "cannot write")
    folder = f"{tmp_path}/found/"
    assert_one_clear_line([*words, short, "--rttm", folder], capsys, folder, "mkdir")
    twice = [*words, short, short, "--rttm", "-"]
    assert_one_clear_line(twice, capsys, "the recording 'short'")
    soundfile.write(tmp_path / "a b.wav", beginning(), RATE)
    soundfile.write(tmp_path / "a_b.wav", beginning(), RATE)
    one_word = [*words, tmp_path / "a b.wav", tmp_path / "a_b.wav", "--rttm", "-"]
    assert_one_clear_line(one_word, capsys, "the recording 'a_b'")
    missing = tmp_path / "missing.db"
    assert_one_clear_line(["diarize", short, "--store", missing], capsys, "no store at")
    both = [*words, short, CONVERSATION]
    for kind in ("--srt", "--plot"):
        assert_one_clear_line([*both, kind, "-"], capsys, "several recordings", "mkdir")
        assert_one_clear_line([*both, kind, tmp_path / "x"], capsys, "several recordings", "mkdir")
    picture = [*words, short, "--plot", tmp_path / "x.svg", "--truth"]
    assert_one_clear_line([*picture, tmp_path / "no.rttm"], capsys, "cannot read the RTTM file")
    two = ["diarize", short, CONVERSATION, "--plot", tmp_path, "--truth", TRUTH]
    assert_one_clear_line(two, capsys, "the truth of one recording, and there are 2")
    assert not (tmp_path / "x.svg").exists()
    assert_one_clear_line([*words, short, "--plot", tmp_path / "x.png"], capsys, "SVG", ".svg")
    target = tmp_path / "kept.rttm"
    target.write_text("kept")
    assert_one_clear_line([*words, broken(tmp_path), "--rttm", target], capsys, "cut off")
    assert target.read_text() == "kept"


def test_an_output_takes_nothing_elses_place(
    short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["diarize", "--anonymous"]
    one = tmp_path / "one.txt"
    assert_one_clear_line([*words, short, "--rttm", one, "--srt", one], capsys, f"would be {one}")
    spelled = tmp_path / "." / "short.rttm"
    both = [*words, short, "--rttm", tmp_path, "--json", spelled]
    assert_one_clear_line(both, capsys, "two outputs would be")
    heard = tmp_path / "heard.flac"
    heard.write_bytes(short.read_bytes())
    assert_one_clear_line([*words, heard, "--rttm", heard], capsys, "heard.flac is to be read")
    assert heard.read_bytes() == short.read_bytes()
    truth = tmp_path / "heard.rttm"
    truth.write_text("SPEAKER heard 1 0.0 1.0 <NA> <NA> ada <NA> <NA>\n")
    drawn = [*words, heard, "--plot", tmp_path, "--truth", truth, "--rttm", tmp_path]
    assert_one_clear_line(drawn, capsys, "heard.rttm is to be read")
    assert_one_clear_line([*drawn, "--truth", tmp_path], capsys, "heard.rttm is to be read")
    assert "ada" in truth.read_text()
    for option in ("--store", "--key", "--speakers"):
        read = ["diarize", short, option, truth, "--rttm", truth]
        assert_one_clear_line(read, capsys, "heard.rttm is to be read")
    thrown_away = ["--rttm", "/dev/null", "--srt", "/dev/null"]
    assert main([*words, str(short), *thrown_away]) == 0


def test_a_file_that_cannot_be_replaced_is_told_before_the_work(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "locked" / "x.rttm"
    target.parent.mkdir()
    target.touch()
    # As it is for who is not root.
    monkeypatch.setattr(os, "access", lambda path, mode: bool(os.stat(path).st_mode & mode << 6))
    for locked in (target.parent, target):
        kept = locked.stat().st_mode
        locked.chmod(0o500)
        words = ["diarize", "--anonymous", short, "--rttm", target]
        assert_one_clear_line(words, capsys, f"cannot write {target}", f"{locked} is missing, or")
        locked.chmod(kept)


def test_what_was_found_is_told_though_the_voices_cannot_be_kept(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["diarize", "--anonymous", str(short), "--speakers"]
    assert_one_clear_line([*words, short / "voices"], capsys, "cannot write")

    def full(path: Path, state: object) -> None:
        raise EarmarkError("the disk is full")

    monkeypatch.setattr("edge.state.write_state", full)
    assert main([*words, str(tmp_path / "voices")]) == 1
    shown = capsys.readouterr()
    assert "speaker1" in shown.out
    assert "the disk is full" in shown.err


def test_silence_is_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diarize", "--anonymous", str(silence(tmp_path))]) == 0
    assert "nobody speaks" in capsys.readouterr().out
    assert main(["diarize", "--anonymous", str(silence(tmp_path)), "--rttm", "-"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "words",
    [
        ["enroll"],
        ["enroll", "ada"],
        ["enroll", "ada", "x", "--mic"],
        ["enroll", "ada", "x", "--seconds", "5"],
        ["verify", "ada"],
        ["identify"],
        ["diarize"],
        ["diarize", "x", "--rttm", "-", "--json", "-"],
        ["diarize", "x", "--truth", "x.rttm"],
        ["diarize", "x", "--jobs", "0"],
        ["diarize", "x", "--store", "s", "--anonymous"],
        ["verify", "ada", "x", "--miss", "little"],
        ["verify", "ada", "x", "--miss", "0"],
        ["verify", "ada", "x", "--false-accept", "2"],
        ["identify", "x", "--miss", "2"],
        ["identify", "x", "--false-accept", "nan"],
        ["calibrate", "x", "--false-accept", "2"],
        ["speakers"],
        ["speakers", "rename", "ada"],
        ["speakers", "clone", "ada"],
        ["bench", "--seconds", "0.5"],
        ["bench", "--seconds", "nan"],
        ["bench", "--seconds", "inf"],
    ],
)
def test_a_wrong_command_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert "usage: earmark" in capsys.readouterr().err


def test_one_bad_profile_does_not_hide_the_others(
    enrolled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from types import SimpleNamespace
    from typing import Any, cast

    other = cast(Any, SimpleNamespace(id="other", statistics_size=3))
    with Store(enrolled, other) as opened:
        opened.enrol(Profile("ben", np.ones(3)))
    assert main(["speakers", "list", "--store", str(enrolled)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("ada")
    assert "enrolled with the model other" in second
    assert main(["speakers", "forget", "ben", "--store", str(enrolled)]) == 0


def test_a_long_file_shows_a_bar_on_a_terminal(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(150 * 4000), 4000)
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.cli", "diarize", "--anonymous", str(path)],
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            data = os.read(leader, 4096)
        except OSError:  # the other side is closed
            break
        if not data:
            break
        shown += data
    os.close(leader)
    output, _ = process.communicate(timeout=HANGING)
    assert process.returncode == 0
    assert b"long.wav" in shown
    assert b"nobody speaks" in output
    assert b"\x1b" not in output


def test_bench_is_one_line_to_paste() -> None:
    result = earmark("bench", "--seconds", 4)
    assert result.returncode == 0, result.stderr
    (line,) = result.stdout.splitlines()
    assert line.startswith("earmark ") and "streams a core" in line


def test_a_profile_adapts_to_its_own_voice_alone_and_can_be_put_back(
    store: Path, tmp_path: Path
) -> None:
    """A stranger's speech, and too little, leave the profile as it was."""
    assert earmark("enroll", "ada", ENROLMENT, "--store", store).returncode == 0
    turns = read_rttm(TRUTH)
    files = {}
    for speaker in ("Ada", "Ben"):
        spans = [t for t in turns if t.speaker.lower() == speaker.lower()]
        files[speaker] = tmp_path / f"{speaker}.wav"
        speech = [conversation()[round(t.start * RATE) : round(t.end * RATE)] for t in spans]
        soundfile.write(files[speaker], np.concatenate(speech), RATE)
    short = tmp_path / "short.wav"
    soundfile.write(short, soundfile.read(files["Ada"])[0][: 2 * RATE], RATE)

    def profile() -> bytes:
        with Store(store, model()) as opened:
            return opened.profile("ada").statistics.tobytes()

    before = profile()
    words = ("--store", store, "--condition", "kitchen")
    refused = earmark("adapt", "ada", files["Ben"], short, *words)
    assert refused.returncode == 3
    assert refused.stdout == "" and len(refused.stderr.splitlines()) == 2
    assert profile() == before
    added = earmark("adapt", "ada", files["Ada"], tmp_path / "missing.wav", *words)
    assert added.returncode == 1 and "missing.wav" in added.stderr
    assert "s of speech added" in added.stdout
    assert "kitchen: an update" in earmark("speakers", "show", "ada", "--store", store).stdout
    after = profile()
    assert after != before
    assert "not counted again" in earmark("adapt", "ada", files["Ada"], *words).stdout
    assert profile() == after
    assert earmark("speakers", "undo", "ada", "--store", store).returncode == 0
    assert profile() == before
    assert earmark("adapt", "eve", files["Ada"], *words).returncode == 1
