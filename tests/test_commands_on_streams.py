"""Risk: a command does to one stream, or to the store, what was meant for another or for none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from voices import ENROLMENT, RATE, Samples, ada, conversation, model, two_voices

from edge.audio import read_audio
from edge.config import Config
from edge.control import Controller
from edge.database import Database
from edge.encoder import Model
from edge.enrolment import profile_from_audio
from edge.errors import EarmarkError
from edge.events import Event, Segment, SpeakerCreated, SpeakerMerged
from edge.keeper import Keeper
from edge.pipeline import Pipeline, PipelineConfig
from edge.protocol import (
    ChangingCommand,
    EnrolCommand,
    EnrolledCommand,
    ForgetCommand,
    ReloadCommand,
    RenameCommand,
)
from edge.signals import Reload
from edge.state import read_state
from edge.statistics import Profile
from edge.store import Store


class Daemon:
    """A controller over streams that have heard something, and what it publishes."""

    def __init__(self, folder: Path, profiles: Sequence[Profile], **heard: Samples) -> None:
        self.store = folder / "speakers.db"
        self.published: list[tuple[str, Event]] = []
        with self.open() as store:
            for profile in profiles:
                store.enrol(profile)
        self.pipelines = {name: Pipeline(model(), profiles, PipelineConfig()) for name in heard}
        self.keepers = {
            name: Keeper(folder / f"{name}.voices", pipeline)
            for name, pipeline in self.pipelines.items()
        }
        for name, samples in heard.items():
            self.pipelines[name].push(samples)

    def open(self) -> Store:
        return Store(self.store, model())

    def publish(self, stream: str, event: Event, sample: int) -> None:
        assert sample == self.pipelines[stream].position
        self.published.append((stream, event))

    def do(self, command: ChangingCommand) -> None:
        self.controller()._do(command)

    def controller(self) -> Controller:
        return Controller(
            config=Config(),
            read_config=Config,
            model=model(),
            open_store=self.open,
            pipelines=self.pipelines,
            keepers=self.keepers,
            publisher=self,  # type: ignore[arg-type]
            stop=lambda: None,
            reload=Reload(),
        )

    def seconds(self) -> dict[str, float]:
        """Of speech in the store, by name."""
        with self.open() as store:
            return {p.name: float(model().seconds(p.statistics)) for p in store.profiles()}

    def names(self, stream: str) -> set[str]:
        return {voice.name for voice in self.pipelines[stream]._tracker.voices}


def said(*turns: Samples) -> Samples:
    """The turns, each with a second of silence behind it."""
    silence = np.zeros(RATE, dtype=np.float32)
    return np.concatenate([part for turn in turns for part in (turn, silence)])


def test_a_number_is_renamed_in_its_own_stream_alone(tmp_path: Path) -> None:
    one, other = two_voices()
    daemon = Daemon(tmp_path, [], first=said(one), second=said(other))
    daemon.do(EnrolCommand(id=1, name="bob", stream="first", speaker="speaker1"))
    assert {stream for stream, _ in daemon.published} == {"first"}
    assert daemon.names("first") == {"bob"}
    assert daemon.names("second") == {"bob", "speaker1"}
    daemon.do(RenameCommand(id=2, name="bob", new="Robert"))
    assert daemon.names("second") == {"Robert", "speaker1"}


def test_a_profile_that_streams_cannot_use_keeps_the_store_as_it_is(tmp_path: Path) -> None:
    """Somebody enrolled with another model meanwhile."""
    daemon = Daemon(tmp_path, [ada()], mic=said(two_voices()[0]))
    tiny = Model.load(Path("tiny"))
    with Store(daemon.store, tiny) as store:
        store.enrol(profile_from_audio(tiny, "eve", read_audio(ENROLMENT)))
    for command in (
        ForgetCommand(id=1, name="ada"),
        RenameCommand(id=2, name="ada", new="Ada L"),
        EnrolCommand(id=3, name="zoe", stream="mic", speaker="speaker1"),
    ):
        with pytest.raises(EarmarkError, match=r"'eve' was enrolled with.* --model, .* --store"):
            daemon.do(command)
        with Store(daemon.store, tiny) as store:
            assert store.names() == ["ada", "eve"]
    assert not daemon.published


def test_what_was_enrolled_counts_once(tmp_path: Path) -> None:
    one, _ = two_voices()
    daemon = Daemon(tmp_path, [], mic=said(one))
    enrol = EnrolCommand(id=1, name="bob", stream="mic", speaker="speaker1")
    daemon.do(enrol)
    (bob,) = daemon.pipelines["mic"]._tracker.voices
    assert float(model().seconds(bob.statistics)) == pytest.approx(daemon.seconds()["bob"])
    for speaker, name in (("bob", "bob"), ("bob", "eve")):
        with pytest.raises(EarmarkError, match="'bob' is enrolled already"):
            daemon.do(EnrolCommand(id=2, name=name, stream="mic", speaker=speaker))
    daemon.pipelines["mic"].push(said(one))
    (bob,) = daemon.pipelines["mic"]._tracker.voices
    twice = 2 * daemon.seconds()["bob"]
    assert float(model().seconds(bob.statistics)) == pytest.approx(twice, rel=0.2)
    finals = [e for e in daemon.pipelines["mic"].flush() if isinstance(e, Segment)]
    assert {e.speaker for e in finals} == {"bob"}
    assert float(model().seconds(bob.statistics)) == pytest.approx(twice, rel=0.2)


def test_numbers_given_by_a_command_are_on_disk_before_they_are_told(tmp_path: Path) -> None:
    """Somebody else is enrolled as ada by now: she goes on under a number, which no kill may give
    to somebody else.
    """
    daemon = Daemon(tmp_path, [ada()], mic=conversation())
    daemon.keepers["mic"].keep(last=False)
    before = read_state(tmp_path / "mic.voices", model())
    with daemon.open() as store:
        store.forget("ada")
        store.enrol(profile_from_audio(model(), "ada", said(two_voices()[0])))
    daemon.do(ReloadCommand(id=1))
    created = [e.speaker for _, e in daemon.published if isinstance(e, SpeakerCreated)]
    after = read_state(tmp_path / "mic.voices", model())
    assert before is not None
    assert after is not None
    assert created
    assert after.named > before.named
    assert set(created) <= {voice.name for voice in after.voices}


def test_a_voice_that_was_enrolled_is_not_kept_as_a_number(tmp_path: Path) -> None:
    """After a kill it would take the place of who is enrolled: it was heard in the same room."""
    daemon = Daemon(tmp_path, [], mic=said(*two_voices()))
    daemon.keepers["mic"].keep(last=False)
    daemon.do(EnrolCommand(id=1, name="bob", stream="mic", speaker="speaker1"))
    left = read_state(tmp_path / "mic.voices", model())
    assert left is not None
    assert [voice.name for voice in left.voices] == ["speaker2"]


def test_a_new_name_does_not_cut_who_is_speaking(tmp_path: Path) -> None:
    one, _ = two_voices()
    long = np.concatenate([one] * 4)
    spans = []
    for renamed in (False, True):
        stream = Pipeline(model(), [], PipelineConfig())
        events = stream.push(long[: 10 * RATE])
        if renamed:
            voice = stream.voice("speaker1")
            assert voice is not None
            events += stream.reload([Profile("bob", voice.statistics)], {"speaker1": "bob"})
            assert any(isinstance(e, SpeakerMerged) for e in events)
        events += stream.push(long[10 * RATE :]) + stream.flush()
        finals = [e for e in events if isinstance(e, Segment) and e.state == "final"]
        spans.append([(e.start, e.end) for e in finals])
    assert spans[0] == spans[1]


def test_a_short_stranger_is_nobody_of_another_recording() -> None:
    one, other = two_voices()
    first = Pipeline(model(), [], PipelineConfig())
    first.push(said(one))
    first.flush()
    second = Pipeline(model(), [], PipelineConfig())
    second.restore(first.state(), elsewhere=True)
    events = second.push(said(other[: 13 * RATE // 10])) + second.flush()
    finals = [e for e in events if isinstance(e, Segment) and e.state == "final"]
    assert [e.speaker for e in finals] == ["unknown"]


def test_nothing_of_who_is_forgotten_goes_on_under_a_number(tmp_path: Path) -> None:
    """What she had said in the last two minutes was a voice without a name, kept on disk."""
    daemon = Daemon(tmp_path, [ada()], mic=conversation())
    before = daemon.names("mic")
    daemon.do(ForgetCommand(id=1, name="ada"))
    assert daemon.names("mic") == before - {"ada"}
    told = [event for _, event in daemon.published if isinstance(event, Segment)]
    final = {event.id for event in told if event.state == "final"}
    assert len(final) > 3
    assert {event.speaker for event in told if event.id in final} == {"unknown"}
    assert {event.id for event in daemon.pipelines["mic"].flush() if isinstance(event, Segment)}
    state = daemon.pipelines["mic"].state()
    assert {voice.name for voice in state.voices} == before - {"ada"}


def test_who_is_forgotten_is_nobody_even_where_traces_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process reads the store, and what was deleted cannot be erased yet."""
    daemon = Daemon(tmp_path, [ada()], mic=conversation())
    assert "ada" in daemon.names("mic")

    def busy(_: Database) -> None:
        raise EarmarkError("what was deleted still stands in the -wal", "Wait")

    monkeypatch.setattr(Database, "erase_deleted", busy)
    with pytest.raises(EarmarkError, match="still stands"):
        daemon.do(ForgetCommand(id=1, name="ada"))
    assert "ada" not in daemon.names("mic")


def test_a_mistake_in_a_command_is_told_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = Daemon(tmp_path, [ada()], mic=said(two_voices()[0]))
    monkeypatch.setattr(Store, "rename", lambda *_: 1 / 0)
    with pytest.raises(EarmarkError, match="rename failed: ZeroDivisionError"):
        daemon.controller()._handle(RenameCommand(id=1, name="ada", new="eve"))
    monkeypatch.setattr(Store, "profiles", lambda *_: 1 / 0)
    with pytest.raises(EarmarkError, match="enrolled failed: ZeroDivisionError"):
        daemon.controller()._handle(EnrolledCommand(id=2))
