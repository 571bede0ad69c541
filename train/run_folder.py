"""The folder of a run: what each of its files is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.errors import EarmarkError
from edge.lock import locked

# Seconds; the loader processes of a training that was killed hold its lock until they notice.
PATIENCE = 10.0


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps what it makes; `path` need not be there yet."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """The one file that the stopped training of the encoder goes on from."""
        return self.path / "checkpoint.pt"

    @property
    def activity_checkpoint(self) -> Path:
        """The file that the stopped training of the activity outputs goes on from."""
        return self.path / "activity_checkpoint.pt"

    @property
    def hearings(self) -> Path:
        """Where the head's training keeps what the trunk made of the recordings."""
        return self.path / "hearings"

    @property
    def talks(self) -> Path:
        """Where the segmenter's training keeps what the encoder made of talks."""
        return self.path / "talks"

    @property
    def encoder(self) -> Path:
        """What a finished run leaves for the exporter."""
        return self.path / "encoder.pt"

    def stage(self, name: str) -> Path:
        """What a stage leaves that has come to its end: it is not run again."""
        return self.path / "stages" / f"{name}.pt"

    def figures(self, name: str) -> Path:
        """What was measured of a stage after the encoder's, as JSON."""
        return self.path / "stages" / f"{name}.json"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other training writes there meanwhile; the folder is made if it is not there.

        Raises:
            EarmarkError: another does.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = self.path / "lock"
        lock.touch()
        with ExitStack() as held:
            try:
                held.enter_context(locked(lock, PATIENCE))
            except BlockingIOError as error:
                raise EarmarkError(
                    f"another training is at work in {self.path}",
                    "Wait for its end or stop it, or train in another folder with --run",
                ) from error
            yield

    def results(self) -> list[Path]:
        """What the run has made so far: with nothing of it, it may begin otherwise."""
        files = (self.checkpoint, self.activity_checkpoint, self.encoder)
        folders = (self.stage("encoder").parent, self.hearings, self.talks)
        whole = [path for folder in folders for path in folder.glob("[!.]*")]
        return [*whole, *(path for path in files if path.is_file())]
