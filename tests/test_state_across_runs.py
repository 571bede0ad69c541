"""Risk: after a restart, or in the next recording, a voice goes by another number."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from daemons import HANGING, until_end
from hypothesis import given
from hypothesis import strategies as st
from voices import (
    CONVERSATION,
    ENROLMENT,
    RATE,
    TRUTH,
    ada,
    assert_consistent,
    conversation,
    events_of,
    model,
    pipeline,
)

from edge.cli import main
from edge.client import Subscriber
from edge.errors import EarmarkError
from edge.events import Event, Segment, SpeakerCreated
from edge.rttm import Turn, read_rttm
from edge.state import KnownVoice, State, alone_with_file, new_state, read_state, write_state
from edge.turns import turns_from_events


@pytest.fixture(scope="module")
def first() -> tuple[State, list[Event]]:
    """What is kept of the conversation, nobody being enrolled, and its events."""
    stream = pipeline([])
    events = events_of([conversation()], stream)
    return stream.state(), events


def longest(turns: Sequence[Turn]) -> dict[str, str]:
    """For each true speaker, the label of most of their time."""
    labels = {}
    for name in {turn.speaker for turn in read_rttm(TRUTH)}:
        time: dict[str, float] = {}
        for true in read_rttm(TRUTH):
            for turn in turns:
                shared = min(true.end, turn.end) - max(true.start, turn.start)
                if true.speaker == name and shared > 0:
                    time[turn.speaker] = time.get(turn.speaker, 0.0) + shared
        labels[name] = max(time, key=lambda label: time[label])
    return labels


@pytest.mark.parametrize("elsewhere", [False, True])
def test_voices_keep_their_numbers(first: tuple[State, list[Event]], elsewhere: bool) -> None:
    state, events = first
    again = pipeline([])
    again.restore(state, elsewhere=elsewhere)
    later = events_of([conversation()], again)
    assert_consistent(later, len(conversation()))
    assert longest(turns_from_events(later)) == longest(turns_from_events(events))
    assert not any(isinstance(e, SpeakerCreated) for e in later)
    ids = {e.id for e in later if isinstance(e, Segment)}
    assert min(ids) >= state.segments
    assert again.state().named == state.named


def test_a_run_that_breaks_off_gives_no_number_twice() -> None:
    broken = pipeline([])
    events = broken.push(conversation()[: 40 * RATE])
    state = broken.state()
    created = {e.speaker for e in events if isinstance(e, SpeakerCreated)}
    assert created <= {voice.name for voice in state.voices}, "those still within the horizon too"
    again = pipeline([ada()])
    again.restore(state, elsewhere=False)
    later = events_of([conversation()[40 * RATE :]], again)
    assert not created & {e.speaker for e in later if isinstance(e, SpeakerCreated)}


def test_what_is_written_is_read_and_its_owners_alone(
    first: tuple[State, list[Event]], tmp_path: Path
) -> None:
    path = tmp_path / "voices"
    assert read_state(path, model()) is None
    for _ in range(2):
        write_state(path, first[0])
        assert read_state(path, model()) == first[0]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["voices"]
    assert all(voice.sums[0] > 0 for voice in first[0].voices)
    with pytest.raises(EarmarkError, match="cannot write"):
        write_state(path / "voices", first[0])


def test_a_full_disk_is_told_of_the_file_that_was_meant(
    first: tuple[State, list[Event]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "voices"
    write_state(path, first[0])

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("edge.private_file.os.fsync", full)
    with pytest.raises(EarmarkError, match=f"cannot write {path}: No space left"):
        write_state(path, first[0])
    assert [p.name for p in tmp_path.iterdir()] == ["voices"]
    assert read_state(path, model()) == first[0]


def spoilt(state: State, **changes: object) -> bytes:
    return msgspec.msgpack.encode(msgspec.structs.replace(state, **changes))


def test_what_was_not_written_so_is_refused(
    first: tuple[State, list[Event]], tmp_path: Path
) -> None:
    state, _ = first
    path = tmp_path / "voices"
    voice = state.voices[0]
    nan = np.full(model().statistics_size, np.nan).tobytes()
    for data, said in (
        (b"", "not a file of voices"),
        (b"\x00" * 100, "not a file of voices"),
        (msgspec.msgpack.encode({"kind": "earmark-state"}), "not a file of voices"),
        (spoilt(state, version=2), "not a file of voices"),
        (spoilt(state, named=-1), "not a file of voices"),
        (spoilt(state, model="0" * 16), "holds voices as the model 0000000000000000"),
        (spoilt(state, voices=(voice, voice)), "'speaker1' is not the number"),
        (spoilt(state, voices=(KnownVoice("ada", voice.statistics),)), "'ada' is not the number"),
        (spoilt(state, named=0), "'speaker1' is not the number"),
        (spoilt(state, voices=(KnownVoice("speaker1", b"short"),)), "of another size"),
        (spoilt(state, voices=(KnownVoice("speaker1", nan),)), "statistics that are none"),
    ):
        path.write_bytes(data)
        with pytest.raises(EarmarkError, match=said):
            read_state(path, model())
    with pytest.raises(EarmarkError, match="cannot read"):
        read_state(tmp_path, model())


@given(data=st.binary(max_size=200))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(data)
    with pytest.raises(EarmarkError):
        read_state(path, model())


def test_names_of_voices_stay_in_order() -> None:
    sums = np.ones(model().statistics_size)
    state = new_state(model(), 10, 0, {"speaker10": sums, "speaker2": sums})
    assert [voice.name for voice in state.voices] == ["speaker2", "speaker10"]


def test_diarize_carries_speakers_from_one_call_to_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voices = tmp_path / "team.voices"
    said = []
    for _ in range(2):
        words = [str(CONVERSATION), "--anonymous", "--speakers", str(voices), "--rttm", "-"]
        assert main(["diarize", *words]) == 0
        said.append({line.split()[7] for line in capsys.readouterr().out.splitlines()})
    assert said[1] <= said[0]
    voices.write_bytes(b"garbage")
    assert main(["diarize", *words]) != 0
    assert "is not a file of voices that Earmark wrote" in capsys.readouterr().err


def test_who_is_enrolled_since_has_a_name_instead_of_the_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voices, store = str(tmp_path / "team.voices"), str(tmp_path / "speakers.db")

    def names(*words: str) -> set[str]:
        assert (
            main(["diarize", str(CONVERSATION), "--speakers", voices, "--rttm", "-", *words]) == 0
        )
        return {line.split()[7] for line in capsys.readouterr().out.splitlines()}

    before = names("--anonymous")
    assert len(before) == 4
    assert main(["enroll", "ada", str(ENROLMENT), "--store", store]) == 0
    capsys.readouterr()
    after = names("--store", store)
    assert "ada" in after
    assert len(after - {"ada"}) == 3
    assert after - {"ada"} < before


def test_two_runs_do_not_lose_each_others_voices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voices = tmp_path / "team.voices"
    words = ["diarize", str(CONVERSATION), "--anonymous", "--speakers", str(voices)]
    with alone_with_file(voices):
        assert main(words) == 1
    assert f"{voices} are in use by another run" in capsys.readouterr().err
    assert not voices.exists()


def test_speakers_are_carried_in_order_or_not_at_all(tmp_path: Path) -> None:
    words = [str(CONVERSATION), "--speakers", str(tmp_path / "v"), "--jobs", "2"]
    with pytest.raises(SystemExit, match="2"):
        main(["diarize", *words])


def daemon(endpoint: str, folder: Path) -> list[Event]:
    """What `earmark run` says of the conversation, with its state kept in the folder."""
    command = [sys.executable, "-m", "edge.cli", "run", "--wav", str(CONVERSATION), "--fast"]
    command += ["--endpoint", endpoint, "--store", str(folder / "speakers.db")]
    command += ["--state", str(folder / "state"), "--wait-subscriber"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        with Subscriber(endpoint) as events:
            said = [envelope.event for envelope in until_end(events)]
        assert process.wait(HANGING) == 0
    finally:
        process.kill()
        process.communicate()
    return said


def test_a_daemon_that_is_restarted_knows_its_voices(tmp_path: Path) -> None:
    first, second = (daemon(f"ipc://{tmp_path / name}", tmp_path) for name in "ab")
    assert any(isinstance(event, SpeakerCreated) for event in first)
    assert not any(isinstance(event, SpeakerCreated) for event in second)
    assert longest(turns_from_events(first)) == longest(turns_from_events(second))
    assert stat.S_IMODE((tmp_path / "state" / "mic.voices").stat().st_mode) == 0o600
