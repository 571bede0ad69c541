"""Risk: a damaged or foreign recording is heard as a shorter, emptier or poisoned one."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import EarmarkError
from edge.sources.container import find_wav_data
from edge.sources.file import FileSource

RATE = 16_000
CONTAINERS = [
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAVEX", "PCM_24"),
    ("RF64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
]


def record(
    path: Path, container: str = "WAV", subtype: str = "PCM_16", frames: int = RATE
) -> bytes:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (frames, 2))
    soundfile.write(path, noise, RATE, format=container, subtype=subtype)
    return path.read_bytes()


def hear(path: Path) -> int:
    return sum(len(block.samples) for block in FileSource(path).blocks())


@pytest.mark.parametrize(("container", "subtype"), CONTAINERS)
def test_file_that_was_cut_off_anywhere(tmp_path: Path, container: str, subtype: str) -> None:
    path = tmp_path / "cut"
    content = record(path, container, subtype)
    cuts = np.random.default_rng(1).integers(0, len(content), 60)
    for length in [0, 1, 11, 12, 43, 44, 45, len(content) - 1, *cuts.tolist()]:
        path.write_bytes(content[:length])
        with pytest.raises(EarmarkError) as raised:
            hear(path)
        assert str(path) in raised.value.what
        assert raised.value.remedy
    path.write_bytes(content)
    assert hear(path) == RATE


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_recordings_one_after_another_are_not_taken_for_the_first(
    tmp_path: Path, subtype: str
) -> None:
    """As `cat a.ogg b.ogg > both.ogg` makes them, and stations that stream over the web."""
    parts = [record(tmp_path / name, "OGG", subtype) for name in "ab"]
    assert parts[0][14:18] != parts[1][14:18]  # the numbers of their streams
    path = tmp_path / "both"
    path.write_bytes(b"".join(parts))
    with pytest.raises(EarmarkError, match=r"several recordings one after another.*ffmpeg"):
        FileSource(path)


def test_cut_off_wav_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(record(path)[:-100])
    with pytest.raises(EarmarkError, match="promises 64000 bytes of audio, there are 63900"):
        FileSource(path)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_header_is_an_error_or_harmless(tmp_path_factory, data) -> None:  # type: ignore[no-untyped-def]
    """Whatever stands in the first 100 bytes: an `EarmarkError`, or audio; no other exception."""
    path = tmp_path_factory.getbasetemp() / "damaged"
    container, subtype = data.draw(st.sampled_from(CONTAINERS))
    content = bytearray(record(path, container, subtype, frames=500))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, 99))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        assert hear(path) > 0
    except EarmarkError as error:
        assert error.remedy


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([b"", b"RIFF", b"RIFX", b"RF64", b"OggS", b"fLaC"]), st.binary(max_size=200))
def test_garbage_is_an_error(tmp_path_factory, magic: bytes, rest: bytes) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.getbasetemp() / "garbage"
    path.write_bytes(magic + rest)
    with pytest.raises(EarmarkError):
        FileSource(path)


def test_zeros_behind_a_header_are_not_read_to_their_end() -> None:
    """What a power cut leaves of a recording; each eight of them were taken for a chunk."""
    header = b"RIFF" + struct.pack("<I", 100_000) + b"WAVE"
    file = io.BytesIO(header + bytes(100_000))
    assert find_wav_data(file) is None
    assert file.tell() < 100


@pytest.mark.parametrize("name", ["a.raw", "a.wav", "a.au", "a.txt"])
def test_not_audio_whatever_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"Dear diary, today I recorded nothing at all." * 20)
    with pytest.raises(EarmarkError, match=r"expected WAV, FLAC or Ogg.*ffmpeg"):
        FileSource(tmp_path / name)


@pytest.mark.parametrize("container", ["AIFF", "AU", "MP3"])
def test_format_in_which_a_cut_cannot_be_seen(tmp_path: Path, container: str) -> None:
    soundfile.write(tmp_path / "a", np.zeros(RATE), RATE, format=container)
    with pytest.raises(EarmarkError, match=f"expected WAV, FLAC or Ogg, got {container}"):
        FileSource(tmp_path / "a")


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match="No such file"):
        FileSource(tmp_path / "absent.wav")
    with pytest.raises(EarmarkError, match="not a file"):
        FileSource(tmp_path)


def test_named_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(EarmarkError, match="'earmark run -' takes raw PCM on standard input"):
        FileSource(tmp_path / "pipe")


@pytest.mark.parametrize(("container", "subtype"), CONTAINERS[:4])
def test_no_samples(tmp_path: Path, container: str, subtype: str) -> None:
    record(tmp_path / "a", container, subtype, frames=0)
    with pytest.raises(EarmarkError, match="no samples"):
        FileSource(tmp_path / "a")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(tmp_path: Path, value: float) -> None:
    samples = np.zeros((RATE, 3), np.float32)
    samples[12_345, 1] = value
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(EarmarkError, match=f"got {value} at sample 12345 of channel 2"):
        hear(tmp_path / "a.wav")


@pytest.mark.parametrize("rate", [1_000, 3_999, 192_001, 2_000_000])
def test_rate_that_no_voice_has(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(rate), rate)
    with pytest.raises(EarmarkError, match=f"expected a rate of 4000 to 192000 Hz, got {rate}"):
        FileSource(tmp_path / "a.wav")


def test_cut_off_rf64_beyond_4_gib(tmp_path: Path) -> None:
    """Its size is in the ds64 chunk; a sparse file stands for the audio."""
    path = tmp_path / "long.wav"
    content = bytearray(record(path, "RF64", frames=1))
    header = content.index(b"data") + 8
    ds64 = content.index(b"ds64") + 8
    promised = 5 * 2**30
    content[ds64 + 8 : ds64 + 16] = struct.pack("<Q", promised)
    path.write_bytes(content[:header])
    os.truncate(path, header + promised)
    assert FileSource(path).rate == RATE
    os.truncate(path, header + promised - 4)
    with pytest.raises(
        EarmarkError, match=f"promises {promised} bytes .* there are {promised - 4}"
    ):
        FileSource(path)
