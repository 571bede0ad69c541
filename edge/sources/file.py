"""A recording as a source: WAV, FLAC or Ogg (Vorbis, Opus) of any length."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import soundfile

from edge.clock import now
from edge.errors import EarmarkError
from edge.sources import Block, Source, check_format, to_mono
from edge.sources.container import StreamedWav, check_whole

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus"})  # of the files that are read
# In every other format libsndfile would hide that a file was cut off.
_FORMATS = ("WAV", "WAVEX", "RF64", "FLAC", "OGG")
_RECORD_AGAIN = "Copy or record the file again"
_UNSTATED = 2**63 - 1  # frames that libsndfile gives for a FLAC whose writer could not seek back


def recordings_in(folder: Path) -> list[Path]:
    """The WAV, FLAC and Ogg files that a folder shows, by name; none where it is not there.

    Raises:
        EarmarkError: it cannot be read.
    """
    return [path for path in _shown_in(folder) if _is_recording(path)]


def left_out(folder: Path) -> str:
    """What else a folder shows than its recordings, by kind; empty for nothing.

    Raises:
        EarmarkError: it cannot be read.
    """
    return by_kind(path for path in _shown_in(folder) if not _is_recording(path))


def by_kind(paths: Iterable[Path]) -> str:
    """How many there are of each kind, such as '2 .mp3, 1 folder'; empty for nothing."""
    kinds = Counter(
        "folder" if path.is_dir() else path.suffix or "without ending" for path in paths
    )
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def _shown_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EarmarkError(
            f"cannot read {folder}: {error.strerror}", "See that it is a folder that you may read"
        ) from error


def _is_recording(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


class ForwardReader(soundfile.SoundFile):
    """A SoundFile that soundfile does not seek in after every read.

    To seek to where one is already alters the end of Opus, and fails in FLAC of unstated length.
    """

    def seekable(self) -> bool:
        """Whatever the file is."""
        return False


class FileSource(Source):
    """A WAV, FLAC or Ogg file, read in blocks of 100 ms. Nothing stays open outside `blocks()`.

    Args:
        path: the file; any rate from 4 to 192 kHz, any number of channels.
        realtime: give each block when a microphone would have, instead of as fast as it is asked.

    Raises:
        EarmarkError: missing, not audio, empty, or cut off.
    """

    def __init__(self, path: Path | str, realtime: bool = False) -> None:
        self._file = os.fsencode(path)
        # Not every file name is UTF-8, and events are.
        self.name = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
        self._realtime = realtime
        self._closed = False
        with self._open() as audio:
            self.rate: int = audio.samplerate
            self.channels: int = audio.channels
            check_format(self.name, self.rate, self.channels)
            if audio.frames == 0:
                self._check_end(audio, 0)

    def blocks(self) -> Iterator[Block]:
        """The file from its beginning."""
        began = now()
        position = 0
        with self._open() as audio:
            while not self._closed:
                try:
                    frames = audio.read(self.rate // 10, dtype="float32", always_2d=True)
                except soundfile.LibsndfileError as error:
                    raise EarmarkError(
                        f"{self.name} is damaged or cut off after {position} samples: "
                        f"{_reason(error)}",
                        _RECORD_AGAIN,
                    ) from error
                if not len(frames):
                    self._check_end(audio, position)
                    return
                mono = to_mono(self.name, frames, position)
                position += len(mono)
                if not self._realtime:
                    yield Block(mono)
                    continue
                # From the beginning, not from the last block: errors do not add up.
                due = began + position / self.rate
                time.sleep(max(due - now(), 0))
                yield Block(mono, at=due)

    def close(self) -> None:
        """End `blocks()`."""
        self._closed = True

    def _check_end(self, audio: ForwardReader, position: int) -> None:
        if position == 0:
            raise EarmarkError(f"{self.name} holds no samples", _RECORD_AGAIN)
        if position < audio.frames != _UNSTATED:
            raise EarmarkError(
                f"{self.name} is cut off: expected {audio.frames} samples, got {position}",
                _RECORD_AGAIN,
            )

    @contextlib.contextmanager
    def _open(self) -> Iterator[ForwardReader]:
        data = check_whole(self._file, self.name)
        with contextlib.ExitStack() as stack:
            file: bytes | StreamedWav = self._file
            if data is not None and data.size is None:
                file = stack.enter_context(StreamedWav(self._file, data.size_field))
            try:
                audio = stack.enter_context(ForwardReader(file))
            except soundfile.LibsndfileError as error:
                raise self._foreign(_reason(error)) from error
            except TypeError as error:  # soundfile asks for the format of a file named *.raw
                raise self._foreign("raw samples") from error
            if audio.format not in _FORMATS:
                raise self._foreign(audio.format)
            yield audio

    def _foreign(self, what: str) -> EarmarkError:
        return EarmarkError(
            f"{self.name}: expected WAV, FLAC or Ogg, got {what}",
            "Convert it, e.g. with 'ffmpeg -i IN -ac 1 -ar 16000 OUT.wav'",
        )


def _reason(error: soundfile.LibsndfileError) -> str:
    return f"'{error.error_string.removeprefix('Error : ').rstrip('.')}'"
