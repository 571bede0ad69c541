"""All audio of a set of utterances, decoded once into one file that loaders map into memory."""

from __future__ import annotations

import json
import math
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from rich.progress import track

from edge.errors import EarmarkError
from edge.front_end import SAMPLE_RATE
from edge.lock import locked
from edge.sources import to_mono
from edge.sources.file import ForwardReader
from edge.whole_file import write_whole

BLOCK = 1 << 16  # samples that are read at once


def samples_of(frames: int) -> int:
    """Samples of which the fbank makes so many frames."""
    return 160 * (frames - 1) + 400


def read_audio(path: Path) -> NDArray[np.float32]:
    """Mono samples of a file, resampled to 16 kHz; several channels are averaged.

    Raises:
        EarmarkError: it cannot be read, or a sample is NaN or infinite.
    """
    blocks = []
    position = 0
    try:
        with ForwardReader(path) as audio:  # in blocks, for not every header tells the length
            rate = audio.samplerate
            while len(block := audio.read(BLOCK, dtype="float32", always_2d=True)):
                blocks.append(to_mono(str(path), block, position))
                position += len(block)
    except (soundfile.LibsndfileError, OSError) as error:
        raise EarmarkError(f"cannot read audio from {path}: {error}", "Check the corpus") from error
    mono = np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)
    return mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE)


class Waveforms:
    """Random access to the samples of many files, by index; safe to share between processes."""

    def __init__(self, samples: NDArray[np.int16], offsets: NDArray[np.int64]) -> None:
        self._samples = samples
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def length(self, index: int) -> int:
        """Samples of one file; none where it could not be read."""
        return int(self._offsets[index + 1] - self._offsets[index])

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        return self.crop(index, 0, self.length(index))

    def crop(self, index: int, start: int, count: int) -> NDArray[np.float32]:
        """`count` samples (float32 in [-1, 1)) of one file, repeated from its start when short."""
        begin, end = self._offsets[index], self._offsets[index + 1]
        piece = self._samples[begin + start : min(begin + start + count, end)]
        if len(piece) < count:
            piece = np.resize(self._samples[begin:end], count)
        return piece.astype(np.float32) / 32768.0

    def random_crop(
        self, index: int, count: int, random: np.random.Generator
    ) -> NDArray[np.float32]:
        """`count` samples of one file from a random place, as `crop` gives them."""
        start = int(random.integers(max(1, self.length(index) - count + 1)))
        return self.crop(index, start, count)

    def fingerprint(self) -> str:
        """What tells these samples from others of other lengths; what is in them is not read."""
        return sha256(self._offsets.tobytes()).hexdigest()

    @classmethod
    def joined(cls, first: Waveforms, second: Waveforms) -> Waveforms:
        """The files of both, in memory."""
        offsets = np.concatenate([first._offsets, first._offsets[-1] + second._offsets[1:]])
        return cls(np.concatenate([first._samples, second._samples]), offsets)

    @classmethod
    def load(cls, paths: Sequence[Path], cache: Path) -> Waveforms:
        """Map the decoded files, decoding them first if this list was never decoded.

        Files that cannot be read are named on standard error and counted, whenever they are asked
        for; they have no samples.

        Raises:
            EarmarkError: not one can be read.
        """
        key = sha256("\n".join(map(_identity, paths)).encode()).hexdigest()[:16]
        samples_path, index_path = cache / f"{key}.pcm", cache / f"{key}.json"
        with alone_in(cache):
            lengths = _lengths(index_path, samples_path, len(paths))
            if lengths is None:
                lengths = _decode(paths, samples_path)
                if not any(lengths):
                    raise EarmarkError(
                        f"none of {len(paths)} audio files can be read", "Check the corpus"
                    )
                write_whole(index_path, json.dumps(lengths))
            else:
                for path, length in zip(paths, lengths, strict=True):
                    if not length:
                        print(f"left out: {path} could not be read when decoded", file=sys.stderr)
        if unread := lengths.count(0):
            print(f"{unread} of {len(paths)} audio files are left out", file=sys.stderr)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        samples = np.memmap(samples_path, dtype=np.int16, mode="r", shape=(int(offsets[-1]),))
        return cls(samples, offsets.astype(np.int64))


@contextmanager
def alone_in(cache: Path) -> Iterator[None]:
    """Make the folder, and let one process at a time fill it: the others find it filled."""
    cache.mkdir(parents=True, exist_ok=True)
    lock = cache / "lock"
    lock.touch()
    with locked(lock, math.inf):
        yield


def _identity(path: Path) -> str:
    """What changes when the file does."""
    if not path.is_file():
        return str(path)
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def _lengths(index: Path, samples: Path, count: int) -> list[int] | None:
    """Samples of each file; None where the index or what it tells of is not there, or not whole."""
    try:
        lengths = json.loads(index.read_text())
        size = samples.stat().st_size
    except (FileNotFoundError, ValueError):
        return None
    whole = isinstance(lengths, list) and all(isinstance(length, int) for length in lengths)
    return lengths if whole and (len(lengths), 2 * sum(lengths)) == (count, size) else None


def _decode(paths: Sequence[Path], target: Path) -> list[int]:
    lengths = []
    with target.open("wb") as output, ThreadPoolExecutor() as pool:
        read = _read_ahead(paths, pool, ahead=2 * (os.cpu_count() or 1))
        for audio in track(read, description="decoding audio", total=len(paths)):
            pcm = np.clip(np.rint(audio * 32768.0), -32768, 32767).astype(np.int16)
            output.write(pcm.tobytes())
            lengths.append(len(pcm))
    return lengths


def _read_ahead(
    paths: Sequence[Path], pool: ThreadPoolExecutor, ahead: int
) -> Iterator[NDArray[np.float32]]:
    """The audio of each file in turn; no more than so many wait in memory, since some are long."""
    waiting = deque[Future[NDArray[np.float32]]]()
    for path in paths:
        waiting.append(pool.submit(_read_or_name, path))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _read_or_name(path: Path) -> NDArray[np.float32]:
    try:
        audio = read_audio(path)
        if not len(audio):
            raise EarmarkError(f"{path} holds no samples", "Check the corpus")
    except EarmarkError as error:
        print(f"left out: {error}", file=sys.stderr)
        return np.zeros(0, dtype=np.float32)
    return audio
