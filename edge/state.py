"""What a tracker takes along from one run to the next: the voices without a name, and the counts.

Voices are biometric data: the file is its owner's alone, and holds statistics, never audio.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from edge.encoder import Model
from edge.errors import EarmarkError
from edge.lock import locked
from edge.private_file import check_replaceable, make_private, replace_private
from edge.statistics import Sums
from edge.untrusted import parse

MAX_BYTES = 64 << 20
PATIENCE = 1.0  # seconds for a daemon that was killed to be gone
_NUMBERED = re.compile(r"speaker([1-9][0-9]{0,17})")
_FLOATS = np.dtype("<f8")

Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]


class KnownVoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A voice that goes by a number, and its statistics as little-endian float64."""

    name: str
    statistics: bytes

    @property
    def sums(self) -> Sums:
        """The statistics (size,)."""
        return np.frombuffer(self.statistics, dtype=_FLOATS).astype(np.float64)


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who was heard without a name. `model` is the id of the encoder that heard them.

    `named` is the last number that was given to a voice, `segments` how many segments began.
    """

    kind: Literal["earmark-state"]
    version: Literal[1]
    model: str
    named: Count
    segments: Count
    voices: tuple[KnownVoice, ...]


@contextmanager
def alone_with(folder: Path) -> Iterator[None]:
    """No other daemon keeps voices in a folder meanwhile; it is made if it is not there.

    Raises:
        EarmarkError: another does, or the folder cannot be written.
    """
    with _alone(
        folder / "voices.lock",
        f"the voices in {folder} are in use by another daemon",
        "Stop that one, or choose another folder with --state",
    ):
        yield


@contextmanager
def alone_with_file(path: Path) -> Iterator[None]:
    """No other run reads voices in a file and writes them back meanwhile.

    Raises:
        EarmarkError: another does, or the file cannot be replaced.
    """
    check_replaceable(path)
    with _alone(
        path.with_name(f"{path.name}.lock"),  # not the file, which is replaced by another
        f"the voices in {path} are in use by another run",
        "Wait for that one, or choose another file with --speakers",
    ):
        yield


@contextmanager
def _alone(lock: Path, used: str, remedy: str) -> Iterator[None]:
    with ExitStack() as held:
        try:
            make_private(lock.parent)
            lock.touch(mode=0o600)
            held.enter_context(locked(lock, PATIENCE))
        except BlockingIOError as error:
            raise EarmarkError(used, remedy) from error
        except OSError as error:
            raise EarmarkError(
                f"cannot keep voices in {lock.parent}: {error.strerror}",
                "Check its permissions, or choose another",
            ) from error
        yield


def new_state(model: Model, named: int, segments: int, voices: dict[str, Sums]) -> State:
    """The state of a tracker that knows these voices, in the order of their names' numbers."""
    known = tuple(
        KnownVoice(name, voices[name].astype(_FLOATS).tobytes())
        for name in sorted(voices, key=lambda name: (len(name), name))
    )
    return State("earmark-state", 1, model.id, named, segments, known)


def read_state(path: Path, model: Model) -> State | None:
    """The state in a file, None if there is no file yet.

    Raises:
        EarmarkError: the file cannot be read, is no state, or belongs to another model.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _damaged(path, f"it is larger than {MAX_BYTES >> 20} MB")
        state = parse(msgspec.msgpack.Decoder(State).decode, path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EarmarkError(f"cannot read {path}: {error.strerror}", "Check the path") from error
    except msgspec.DecodeError as error:
        raise _damaged(path, str(error)) from error
    if state.model != model.id:
        raise EarmarkError(
            f"{path} holds voices as the model {state.model} hears them, this one is {model.id}",
            "Give the model that it was made with, or another file to begin anew",
        )
    flaw = _flaw(state, model)
    if flaw:
        raise _damaged(path, flaw)
    return state


def write_state(path: Path, state: State) -> None:
    """Write the state; what was there before stays until all of it is written.

    Raises:
        EarmarkError: it cannot be written.
    """
    replace_private(path, msgspec.msgpack.encode(state))


def _flaw(state: State, model: Model) -> str | None:
    """What is wrong with a state whose shape is right."""
    numbers = set()
    for voice in state.voices:
        number = _NUMBERED.fullmatch(voice.name)
        if number is None or int(number[1]) > state.named or voice.name in numbers:
            return f"{voice.name[:80]!r} is not the number of a voice"
        numbers.add(voice.name)
        if len(voice.statistics) != _FLOATS.itemsize * model.statistics_size:
            return f"{voice.name} has statistics of another size"
        if not (np.isfinite(voice.sums).all() and voice.sums[0] > 0.0):
            return f"{voice.name} has statistics that are none"
    return None


def _damaged(path: Path, why: str) -> EarmarkError:
    return EarmarkError(
        f"{path} is not a file of voices that Earmark wrote: {why}",
        "Give another file, or remove it to begin anew",
    )
