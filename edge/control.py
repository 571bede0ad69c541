"""What the commands do: in the daemon's thread, between two blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from edge.command_queue import Outcome
from edge.encoder import Model
from edge.enrolment import check_enough
from edge.errors import EarmarkError
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
from edge.statistics import Profile
from edge.store import Store


class Controller:
    """Carries commands out in the daemon's thread: on its store, its pipelines and itself."""

    def __init__(
        self,
        model: Model,
        open_store: Callable[[], AbstractContextManager[Store]],
        pipelines: Mapping[str, Pipeline],
        publisher: Publisher,
        stop: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            model: the encoder of the pipelines.
            open_store: opens the store of the enrolled; called for each command that needs it.
            pipelines: by name of the stream.
            publisher: where what changes is told.
            stop: asks the daemon to end.
        """
        self._model = model
        self._open_store = open_store
        self._pipelines = pipelines
        self._publisher = publisher
        self._stop = stop

    def carry_out(self) -> None:
        """Carry out the commands that wait."""
        self._publisher.commands.carry_out(self._handle)

    def _handle(self, command: Command) -> Outcome:
        if isinstance(command, EnrolledCommand):
            return self._enrolled(command)
        return Done(id=command.id, what=self._do(command))

    def _do(self, command: ChangingCommand) -> str:
        """What was done, for people."""
        match command:
            case StopCommand():
                self._stop()
                return "the daemon ends"
            case ReloadCommand():
                with self._open_store() as store:
                    return f"{self._reload(store, {})} enrolled"
            case RenameCommand(name=name, new=new):
                with self._open_store() as store:
                    store.rename(name, new)
                    self._reload(store, {name: new})
                return f"'{name}' is now '{new}'"
            case ForgetCommand(name=name):
                with self._open_store() as store:
                    store.forget(name)
                    self._reload(store, {})
                return f"'{name}' is erased"
            case EnrolCommand():
                return self._enrol(command)

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
        statistics = pipeline.speech_of(command.speaker)
        if statistics is None:
            raise EarmarkError(
                f"the stream '{command.stream}' knows no voice '{command.speaker}'",
                "Take the name from the latest revision of a segment",
            )
        profile = Profile(command.name, statistics)
        with self._open_store() as store:
            store.enrol(profile, lambda grown: check_enough(self._model, grown))
            self._reload(store, {command.speaker: command.name})
        return f"'{command.name}' has {float(self._model.seconds(statistics)):.1f} s of speech more"

    def _reload(self, store: Store, moved: Mapping[str, str]) -> int:
        """Let the pipelines know who is enrolled now, and how many those are."""
        profiles = store.profiles()
        for stream, pipeline in self._pipelines.items():
            for event in pipeline.reload(profiles, moved):
                self._publisher.publish(stream, event, pipeline.position)
        return len(profiles)
