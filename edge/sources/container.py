"""Sees what libsndfile does not say: that a WAV or an Ogg file was cut off, or that it goes on.

libsndfile reads as much as there is and calls that the length, and of recordings that follow one
another in an Ogg file the first. The container itself knows better: a WAV's data chunk states its
size, the last page of an Ogg stream is marked as such, and every page bears its stream's number.
"""

from __future__ import annotations

import io
import os
import stat
import struct
from dataclasses import dataclass
from typing import BinaryIO

from edge.errors import EarmarkError

_UNKNOWN = 0xFFFFFFFF  # a program that could not seek back wrote this size
_SOX_UNKNOWN = 0x7FFFF000  # or, being sox, this one
_MAX_OGG_PAGE = 27 + 255 + 255 * 255
_REMEDY = "Copy or record the file again; 'ffmpeg -i IN OUT.wav' saves what is left of it"


@dataclass(frozen=True)
class WavData:
    """Where a WAV's audio is.

    `size_field` is the position of the data chunk's size, `start` that of the audio, in bytes;
    `size` is what the header promises, None if it does not (a streamed WAV).
    """

    size_field: int
    start: int
    size: int | None


def check_whole(file: bytes, name: str) -> WavData | None:
    """Refuse what is no file, or a WAV, RF64 or Ogg file that ends before its own end.

    Args:
        file: its path; not every one is UTF-8.
        name: the source, for the errors.

    Returns:
        Where the audio is, if this is a WAV.

    Raises:
        EarmarkError: the file cannot be read, or how much of it is missing.
    """
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # opening a FIFO would wait for its writer
            raise EarmarkError(
                f"{name} is not a file",
                "Give a recording; 'earmark run -' takes raw PCM on standard input",
            )
        with open(file, "rb") as handle:
            size = _file_size(handle)
            data = find_wav_data(handle)
            handle.seek(0)
            ogg = handle.read(4) == b"OggS"
            last_page = _last_ogg_page(handle, size) if ogg else b""
            chained = ogg and last_page[14:18] not in _ogg_streams(handle)
    except OSError as error:
        raise EarmarkError(f"cannot read {name}: {error.strerror}", "Check the path") from error
    if data is not None and data.size is not None and data.start + data.size > size:
        raise EarmarkError(
            f"{name} is cut off: its header promises {data.size} bytes of audio, "
            f"there are {max(size - data.start, 0)}",
            _REMEDY,
        )
    if ogg and not _is_ogg_end(last_page):
        raise EarmarkError(
            f"{name} is cut off: its last page is not the last of the stream", _REMEDY
        )
    if chained:
        raise EarmarkError(
            f"{name} holds several recordings one after another, of which the first would be heard",
            "'ffmpeg -i IN OUT.wav' makes one of them",
        )
    return data


def find_wav_data(handle: BinaryIO) -> WavData | None:
    """The audio of a RIFF, RIFX or RF64 file; None if it is none of them or has no data chunk.

    What follows a name that is none is no chunk, as libsndfile takes it, too.
    """
    handle.seek(0)
    header = handle.read(12)
    if len(header) < 12 or header[:4] not in (b"RIFF", b"RIFX", b"RF64") or header[8:] != b"WAVE":
        return None
    order = ">" if header[:4] == b"RIFX" else "<"
    riff_size = struct.unpack(f"{order}I", header[4:8])[0]
    long_size: int | None = None
    while len(chunk := handle.read(8)) == 8:
        name, size = struct.unpack(f"{order}4sI", chunk)
        if not (name.isascii() and name.decode().isprintable()):
            return None
        if name == b"data":
            start = handle.tell()
            # 0 bytes are the truth only in a file whose other size agrees.
            unfinished = size == 0 and riff_size + 8 != _file_size(handle)
            if size == _UNKNOWN:
                size = long_size
            elif size == _SOX_UNKNOWN or unfinished:
                size = None
            return WavData(start - 4, start, size)
        skip = size + size % 2  # chunks start at even positions
        if name == b"ds64":
            sizes = handle.read(16)
            long_size = struct.unpack("<QQ", sizes)[1] if len(sizes) == 16 else None
            skip -= len(sizes)
        handle.seek(skip, os.SEEK_CUR)
    return None


class StreamedWav(io.FileIO):
    """A WAV whose writer left 0 as the data size, read as if it said "unknown".

    libsndfile takes "unknown" to mean "to the end of the file", but 0 literally.
    """

    def __init__(self, path: bytes, size_field: int) -> None:
        super().__init__(path)
        self._unknown_at = range(size_field, size_field + 4)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` as far as the file goes."""
        start = self.tell()
        count = super().readinto(buffer) or 0
        for position in self._unknown_at:
            if start <= position < start + count:
                buffer[position - start : position - start + 1] = b"\xff"
        return count


def _file_size(handle: BinaryIO) -> int:
    return os.fstat(handle.fileno()).st_size


def _last_ogg_page(handle: BinaryIO, size: int) -> bytes:
    handle.seek(max(size - _MAX_OGG_PAGE, 0))
    tail = handle.read(_MAX_OGG_PAGE)
    return tail[max(tail.rfind(b"OggS"), 0) :]


def _is_ogg_end(page: bytes) -> bool:
    """Whether a page is whole and bears the end-of-stream flag."""
    if len(page) < 27 or not page[5] & 4:
        return False
    segments = page[26]
    return len(page) >= 27 + segments + sum(page[27 : 27 + segments])


def _ogg_streams(handle: BinaryIO) -> set[bytes]:
    """Serial numbers of the streams that run beside each other from the beginning (RFC 3533)."""
    serials = set()
    handle.seek(0)
    while len(page := handle.read(27)) == 27 and page.startswith(b"OggS") and page[5] & 2:
        serials.add(page[14:18])
        handle.seek(sum(handle.read(page[26])), os.SEEK_CUR)
    return serials
