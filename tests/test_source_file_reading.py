"""Risk: a recording is heard other than it is: shortened, misaligned, mixed wrongly, mispaced."""

from __future__ import annotations

import os
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge.sources import Source
from edge.sources.file import FileSource


def read(source: Source) -> NDArray[np.float32]:
    with source:
        blocks = list(source.blocks())
    assert all(len(b.samples) <= source.rate // 10 and b.lost == 0 for b in blocks)
    return np.concatenate([b.samples for b in blocks])


def noise(frames: int, channels: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (frames, channels))


@pytest.mark.parametrize(
    ("container", "subtype", "rate", "channels"),
    [
        ("WAV", "PCM_16", 4_000, 1),
        ("WAV", "PCM_24", 96_000, 8),
        ("WAV", "PCM_U8", 8_000, 2),
        ("WAV", "FLOAT", 192_000, 16),
        ("WAVEX", "PCM_32", 44_100, 3),
        ("RF64", "PCM_16", 48_000, 2),
        ("FLAC", "PCM_24", 96_000, 8),
        ("FLAC", "PCM_16", 16_000, 1),
        ("OGG", "VORBIS", 22_050, 2),
        ("OGG", "OPUS", 48_000, 2),
    ],
)
def test_blocks_are_the_file(
    tmp_path: Path, container: str, subtype: str, rate: int, channels: int
) -> None:
    path = tmp_path / "recording"
    frames = rate * 2 + 37
    soundfile.write(path, noise(frames, channels), rate, format=container, subtype=subtype)
    source = FileSource(path)
    assert (source.rate, source.channels) == (rate, channels)
    whole, _ = soundfile.read(path, dtype="float32", always_2d=True)
    heard = read(source)
    assert heard.dtype == np.float32 and len(heard) == frames
    np.testing.assert_allclose(heard, whole.mean(axis=1, dtype=np.float64), rtol=0, atol=1e-7)
    if channels == 1:
        np.testing.assert_array_equal(heard, whole[:, 0])
    np.testing.assert_array_equal(read(FileSource(path)), heard)


def test_channels_as_loud_as_can_be_have_a_finite_mean(tmp_path: Path) -> None:
    loudest = np.full((100, 8), np.finfo(np.float32).max)
    soundfile.write(tmp_path / "a.wav", loudest, 16_000, subtype="FLOAT")
    np.testing.assert_array_equal(read(FileSource(tmp_path / "a.wav")), loudest[:, 0])


def test_blocks_can_be_had_again(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(1000), 8_000)
    source = FileSource(tmp_path / "a.wav")
    first = np.concatenate([b.samples for b in source.blocks()])
    np.testing.assert_array_equal(first, np.concatenate([b.samples for b in source.blocks()]))


@pytest.mark.parametrize("data_size", [0, 0xFFFFFFFF, 0x7FFFF000])
@pytest.mark.parametrize("riff_size", [0, 0xFFFFFFFF, 36])
def test_streamed_wav_is_read_to_its_end(tmp_path: Path, data_size: int, riff_size: int) -> None:
    """Programs that write to a pipe cannot come back to fill in the sizes."""
    path = tmp_path / "streamed.wav"
    soundfile.write(path, noise(30_000, 2), 16_000, subtype="PCM_16")
    expected = read(FileSource(path))
    content = bytearray(path.read_bytes())
    assert content[36:40] == b"data"
    content[4:8] = struct.pack("<I", riff_size)
    content[40:44] = struct.pack("<I", data_size)
    path.write_bytes(content)
    np.testing.assert_array_equal(read(FileSource(path)), expected)


def test_streamed_flac_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "streamed.flac"
    soundfile.write(path, noise(30_000), 16_000)
    expected = read(FileSource(path))
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the 36 bits of STREAMINFO's number of samples
    content[22:26] = bytes(4)
    path.write_bytes(content)
    np.testing.assert_array_equal(read(FileSource(path)), expected)


def test_chunks_around_the_audio_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "tagged.wav"
    soundfile.write(path, noise(1_000), 16_000, subtype="PCM_16")
    expected = read(FileSource(path))
    content = path.read_bytes()
    odd = b"note" + struct.pack("<I", 5) + b"hello\0"
    content = content[:36] + odd + content[36:] + odd
    path.write_bytes(content[:4] + struct.pack("<I", len(content) - 8) + content[8:])
    np.testing.assert_array_equal(read(FileSource(path)), expected)


def test_a_file_name_that_is_not_utf_8_is_heard_and_has_a_name_for_events(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    soundfile.write(tmp_path / "a.wav", noise(1_000), 8_000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    path.write_bytes(content)
    source = FileSource(path)
    assert source.name == str(tmp_path / r"caf\udce9.wav")
    assert len(read(source)) == 1_000
    content[4:8] = content[40:44] = bytes(4)  # as of a program that writes to a pipe
    path.write_bytes(content)
    assert len(read(FileSource(path))) == 1_000


def test_realtime_gives_no_block_before_its_time(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(8_000), 8_000)
    began = time.monotonic()
    heard = 0
    for block in FileSource(tmp_path / "a.wav", realtime=True).blocks():
        heard += len(block.samples)
        assert time.monotonic() - began >= heard / 8_000
    assert heard == 8_000


def test_close_from_another_thread_ends_a_recording(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(8_000 * 3600, np.int16), 8_000)
    source = FileSource(tmp_path / "a.wav", realtime=True)
    blocks = source.blocks()
    heard = len(next(blocks).samples)
    threading.Thread(target=source.close).start()
    assert heard + sum(len(block.samples) for block in blocks) < 8_000 * 3600
