"""Raw PCM on a pipe as a source, e.g. standard input behind arecord, ffmpeg or a radio."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import EarmarkError
from edge.sources import Block, Source, check_format, to_mono

Format = Literal["s16le", "f32le"]

_SAMPLE_SIZES = {"s16le": 2, "f32le": 4}  # bytes
_HEADERS = {b"RIFF": "a WAV file", b"RF64": "a WAV file", b"fLaC": "FLAC", b"OggS": "Ogg"}
_PATIENCE = 100  # ms; how long a silent pipe may hold up close()


class PipeSource(Source):
    """Interleaved PCM without a header, given on as it comes: a live pipe gains no delay.

    Args:
        stream: has a file descriptor and has not been read from; it stays open.
        rate: samples per second and channel, Hz.
        channels: interleaved channels.
        format: little-endian "s16le" (16-bit integer) or "f32le" (float, full scale ±1).

    Raises:
        EarmarkError: an impossible rate, channel count or format, or a terminal as the stream.
    """

    def __init__(
        self, stream: BinaryIO, rate: int = 16_000, channels: int = 1, format: Format = "s16le"
    ) -> None:
        self.name = "stdin"
        self.rate = rate
        self.channels = channels
        check_format(self.name, rate, channels)
        if format not in _SAMPLE_SIZES:
            raise EarmarkError(
                f"expected the sample format s16le or f32le, got '{format}'", "Name one of them"
            )
        if stream.isatty():
            raise EarmarkError(
                f"expected raw {format} audio on {self.name}, got a terminal",
                "Pipe a program into it, e.g. 'arecord -t raw -f S16_LE -r 16000 -c 1 |'",
            )
        self._format = format
        self._stream = stream
        self._closed = False

    def blocks(self) -> Iterator[Block]:
        """Whatever has come, in blocks of at most 100 ms, until the writer closes the pipe."""
        frame_size = _SAMPLE_SIZES[self._format] * self.channels
        tail = b""  # of a frame whose rest has not come yet
        position = 0
        while (data := self._read(frame_size * (self.rate // 10) - len(tail))) is not None:
            if not data:
                break
            data = tail + data
            if position == 0 and data[:4] in _HEADERS:
                raise EarmarkError(
                    f"{self.name}: expected raw {self._format} samples, got {_HEADERS[data[:4]]}",
                    "Give it as a file, or have raw samples written: 'arecord -t raw', "
                    "'ffmpeg ... -f s16le -'",
                )
            whole = len(data) - len(data) % frame_size
            tail = data[whole:]
            if whole:
                mono = to_mono(self.name, self._frames(data[:whole]), position)
                position += len(mono)
                yield Block(mono)
        if self._closed:
            return
        if tail:
            raise EarmarkError(
                f"{self.name} ended within a frame: {len(tail)} of its {frame_size} bytes came, "
                f"after {position} samples",
                f"Check that it carries {self._format} with {self.channels} channel(s)",
            )
        if position == 0:
            raise EarmarkError(
                f"{self.name} ended without a sample", "Check the program that feeds the pipe"
            )

    def close(self) -> None:
        """End `blocks()`."""
        self._closed = True

    def _read(self, size: int) -> bytes | None:
        """At most `size` bytes as soon as there are any; empty at the end, None when closed."""
        poll = select.poll()
        poll.register(self._stream, select.POLLIN)
        try:
            while not self._closed:
                if poll.poll(_PATIENCE):
                    return os.read(self._stream.fileno(), size)
        except OSError as error:
            raise EarmarkError(
                f"cannot read {self.name}: {error.strerror}", "Check the program that feeds it"
            ) from error
        return None

    def _frames(self, data: bytes) -> NDArray[np.float32]:
        if self._format == "s16le":
            samples = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)
        else:
            samples = np.frombuffer(data, "<f4").astype(np.float32)
        return samples.reshape(-1, self.channels)
