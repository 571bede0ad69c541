"""Risk: a pipe delivers in odd pieces, late, or not what was agreed, and the audio suffers."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.errors import EarmarkError
from edge.sources.pipe import Format, PipeSource


def piped(pieces: list[bytes], **settings: Any) -> tuple[list[int], NDArray[np.float32]]:
    """Lengths of the blocks and all samples of what a writer gives piece by piece."""
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb", buffering=0) as pipe:
            for piece in pieces:
                pipe.write(piece)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with open(reading, "rb", buffering=0) as stream, PipeSource(stream, **settings) as source:
            blocks = list(source.blocks())
    finally:
        writer.join()
    assert all(block.lost == 0 for block in blocks)
    samples = [block.samples for block in blocks]
    return [len(s) for s in samples], np.concatenate(samples)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["s16le", "f32le"]),
    st.integers(1, 3),
    st.integers(1, 3_000),
    st.lists(st.integers(0, 9_000), max_size=10),
)
def test_samples_do_not_depend_on_the_pieces(
    format: Format, channels: int, frames: int, cuts: list[int]
) -> None:
    values = np.random.default_rng(0).integers(-(2**15), 2**15, (frames, channels))
    scaled = (values / 32768).astype("<f4")
    content = values.astype("<i2").tobytes() if format == "s16le" else scaled.tobytes()
    bounds = [0, *sorted(min(c, len(content)) for c in cuts), len(content)]
    pieces = [content[a:b] for a, b in itertools.pairwise(bounds)]
    lengths, heard = piped(pieces, rate=8_000, channels=channels, format=format)
    assert max(lengths) <= 800
    assert heard.dtype == np.float32
    np.testing.assert_allclose(heard, scaled.mean(axis=1), rtol=0, atol=1e-7)
    if channels == 1:
        np.testing.assert_array_equal(heard, scaled[:, 0])


def test_live_audio_is_not_held_back() -> None:
    """Each write is a block of its own while the pipe stays open."""
    reading, writing = os.pipe()
    with open(reading, "rb") as stream, open(writing, "wb", buffering=0) as pipe:
        blocks = PipeSource(stream).blocks()
        for value in (1, 2, 3):
            pipe.write(np.full(160, value, "<i2").tobytes())
            np.testing.assert_array_equal(next(blocks).samples * 32768, np.full(160, value))


def test_standard_input_of_a_real_process() -> None:
    program = """
import sys
from edge.sources.pipe import PipeSource
source = PipeSource(sys.stdin.buffer, 48_000, 2, "s16le")
sys.stdout.write(str(sum(float(b.samples.sum()) for b in source.blocks())))
"""
    frames = np.tile(np.array([[100, 300]], "<i2"), (96_000, 1))
    done = subprocess.run(
        [sys.executable, "-c", program], input=frames.tobytes(), capture_output=True, check=True
    )
    assert float(done.stdout) * 32768 == 200 * 96_000


def test_close_from_another_thread_ends_a_silent_pipe() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as stream, open(writing, "wb"), PipeSource(stream) as source:
        threading.Timer(0.2, source.close).start()
        assert list(source.blocks()) == []
        source.close()


@pytest.mark.parametrize(
    ("content", "settings", "said"),
    [
        (b"", {}, "ended without a sample"),
        (b"\0" * 7, {}, "1 of its 2 bytes came, after 3 samples"),
        (b"\0" * 23, {"channels": 2, "format": "f32le"}, "7 of its 8 bytes came, after 2 samples"),
        (b"\0", {"channels": 4}, "1 of its 8 bytes came, after 0 samples"),
        (b"RIFF\0\0\0\0WAVEfmt ", {}, "got a WAV file"),
        (b"fLaC" + b"\0" * 40, {}, "got FLAC"),
        (b"\0\0\0\0\0\0\xc0\x7f", {"format": "f32le"}, "got nan at sample 1 of channel 1"),
        (b"\0\0\0\0\0\0\x80\xff", {"format": "f32le", "channels": 2}, "-inf .* 0 of channel 2"),
    ],
)
def test_what_is_wrong_is_said(content: bytes, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(EarmarkError, match=said) as raised:
        piped([content], **settings)
    assert raised.value.remedy


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rate": 0}, "expected a rate of 4000 to 192000 Hz, got 0"),
        ({"channels": 0}, "expected 1 or more channels, got 0"),
        ({"format": "s24le"}, "s16le or f32le, got 's24le'"),
    ],
)
def test_impossible_settings(settings: dict[str, Any], said: str) -> None:
    with open(os.devnull, "rb") as stream, pytest.raises(EarmarkError, match=said):
        PipeSource(stream, **settings)


def test_terminal_is_refused() -> None:
    ours, theirs = os.openpty()
    with (
        open(ours, "rb", buffering=0),
        open(theirs, "rb", buffering=0) as terminal,
        pytest.raises(EarmarkError, match="got a terminal"),
    ):
        PipeSource(terminal)
