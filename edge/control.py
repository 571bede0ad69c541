"""What the commands do: in the daemon's thread, between two blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress

import msgspec

from edge import log
from edge.command_queue import Outcome
from edge.config import Config
from edge.encoder import Model
from edge.enrolment import check_agreement, check_enough
from edge.errors import EarmarkError
from edge.keeper import Keeper
from edge.names import composed
from edge.pipeline import Pipeline
from edge.protocol import (
    MAX_ENROLLED,
    ChangingCommand,
    Command,
    Done,
    EnrolCommand,
    Enrolled,
    EnrolledCommand,
    EnrolledSpeaker,
    ForgetCommand,
    ReloadCommand,
    RenameCommand,
    StopCommand,
)
from edge.publisher import Publisher
from edge.reload import reloaded
from edge.signals import Reload
from edge.statistics import Profile, Sums
from edge.store import Store


class Controller:
    """Carries commands out in the daemon's thread: on its store, its pipelines and itself.

    Attributes:
        config: the settings in force.
    """

    def __init__(
        self,
        *,
        config: Config,
        read_config: Callable[[], Config],
        model: Model,
        open_store: Callable[[], AbstractContextManager[Store]],
        pipelines: Mapping[str, Pipeline],
        keepers: Mapping[str, Keeper],
        publisher: Publisher,
        stop: Callable[[], None],
        reload: Reload,
    ) -> None:
        """Prepare.

        Args:
            config: the settings that everything was made with.
            read_config: gives the settings as they are wanted now.
            model: the encoder of the pipelines.
            open_store: opens the store of the enrolled; called for each command that needs it.
            pipelines: by name of the stream.
            keepers: of the streams whose voices are kept.
            publisher: where what changes is told.
            stop: asks the daemon to end.
            reload: asked by a signal handler.
        """
        self.config = config
        self._read_config = read_config
        self._model = model
        self._open_store = open_store
        self._pipelines = pipelines
        self._keepers = keepers
        self._publisher = publisher
        self._stop = stop
        self._reload_wish = reload

    def carry_out(self) -> None:
        """Carry out the commands that wait."""
        if self._reload_wish.asked:
            self._reload_wish.asked = False
            with suppress(EarmarkError):  # it is in the log
                self._handle(ReloadCommand(id=0))
        self._publisher.commands.carry_out(self._handle)

    def _handle(self, command: Command) -> Outcome:
        name = str(type(command).__struct_config__.tag)
        try:
            if isinstance(command, EnrolledCommand):
                return self._enrolled(command)
            done = self._do(command)
        except EarmarkError as error:
            # Of the others' errors and outcomes, some name speakers.
            why = f": {error}" if isinstance(command, ReloadCommand) else ""
            kept = "" if isinstance(command, ForgetCommand) else ", and nothing was changed"
            log.error("command.failed", f"{name} failed{kept}{why}")
            raise
        except Exception as error:  # whatever is wrong with a command, the daemon hears on
            kind = type(error).__name__
            log.error("command.failed", f"{name} failed by a mistake in the program: {kind}")
            raise EarmarkError(f"{name} failed: {kind}", "Report this") from error
        why = f": {done}" if isinstance(command, ReloadCommand) else ""
        log.info("command", f"{name} was carried out{why}")
        return Done(id=command.id, what=done)

    def _do(self, command: ChangingCommand) -> str:
        """What was done, for people."""
        match command:
            case StopCommand():
                self._stop()
                return "the daemon ends"
            case ReloadCommand():
                return self._read_anew()
            case RenameCommand():
                name, new = composed(command.name), composed(command.new)
                with self._usable_store() as store:
                    store.rename(name, new)
                    self._reload(store, {stream: {name: new} for stream in self._pipelines})
                return f"'{name}' is now '{new}'"
            case ForgetCommand(name=name):
                with self._usable_store() as store:
                    try:
                        store.forget(name)
                    finally:  # gone is gone, even where traces of it could not be erased
                        self._reload(store, {})
                return f"'{name}' is erased"
            case EnrolCommand(name=name):
                return self._enrol(msgspec.structs.replace(command, name=composed(name)))

    def _enrolled(self, command: EnrolledCommand) -> Enrolled:
        with self._open_store() as store:
            profiles = store.profiles()
        speakers = tuple(
            EnrolledSpeaker(profile.name, float(self._model.seconds(profile.statistics)))
            for profile in profiles[:MAX_ENROLLED]
        )
        return Enrolled(id=command.id, total=len(profiles), speakers=speakers)

    def _enrol(self, command: EnrolCommand) -> str:
        pipeline = self._pipelines.get(command.stream)
        if pipeline is None:
            raise EarmarkError(
                f"there is no stream '{command.stream}'", f"Choose of: {', '.join(self._pipelines)}"
            )
        statistics, moved = _meant(pipeline, command)
        profile = Profile(command.name, statistics)
        with self._usable_store() as store:
            known = [store.profile(command.name)] if command.name in store.names() else []
            check_agreement(self._model, profile, known)
            grown = store.enrol(profile, lambda grown: check_enough(self._model, grown))
            self._reload(store, {command.stream: moved})  # elsewhere the number is another's
        if grown.again:
            return f"'{command.name}': the same speech, not counted again"
        return f"'{command.name}' has {float(self._model.seconds(statistics)):.1f} s of speech more"

    def _read_anew(self) -> str:
        """Take over settings and speakers as they are now: both, or neither."""
        config, taken, left = reloaded(self.config, self._read_config())
        with self._open_store() as store:
            count = self._reload(store, {})
        self.config = config
        log.set_up(config.log, config.log_level)
        for pipeline in self._pipelines.values():
            pipeline.reconfigure(config.pipeline)
        told = [f"{count} enrolled", f"changed: {', '.join(taken) or 'no setting'}"]
        if left:
            told.append(f"left until a restart: {', '.join(left)}")
        return "; ".join(told)

    @contextmanager
    def _usable_store(self) -> Iterator[Store]:
        """The store, if the pipelines can take all that is in it: else it is left as it is."""
        with self._open_store() as store:
            store.profiles()
            yield store

    def _reload(self, store: Store, moved: Mapping[str, Mapping[str, str]]) -> int:
        """Let the pipelines know who is enrolled now, and how many those are.

        `moved`: by stream, the new names of voices that go on.
        """
        profiles = store.profiles()
        for stream, pipeline in self._pipelines.items():
            events = pipeline.reload(profiles, moved.get(stream, {}))
            if stream in self._keepers:
                self._keepers[stream].before(events)
            for event in events:
                self._publisher.publish(stream, event, pipeline.position)
        return len(profiles)


def _meant(pipeline: Pipeline, command: EnrolCommand) -> tuple[Sums, Mapping[str, str]]:
    """Statistics (size,) of what is to be enrolled, and the voice that goes on under its name.

    Raises:
        EarmarkError: it is not said which, or there is no such voice or segment at present.
    """
    match command.speaker, command.segment:
        case str(speaker), None:
            voice = pipeline.voice(speaker)
            if voice is None:
                raise EarmarkError(
                    f"the stream '{command.stream}' knows no voice '{speaker}'",
                    "Take the name from the latest revision of a segment",
                )
            if voice.enrolled:
                raise EarmarkError(
                    f"'{speaker}' is enrolled already, and what is known of them would count twice",
                    "Give a segment, or let the profile grow with 'earmark adapt'",
                )
            return voice.statistics, {speaker: command.name}
        case None, int(segment):
            statistics = pipeline.speech_in(segment)
            if statistics is None:
                raise EarmarkError(
                    f"the stream '{command.stream}' has no segment {segment} that may still change",
                    "Take one of the last two minutes, before it is final, or give its speaker",
                )
            return statistics, {}
    raise EarmarkError("expected a speaker or a segment to enrol", "Give one of them")
