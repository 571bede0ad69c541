"""Earmark's fbank against kaldi-native-fbank, each called in its own best way, on one thread.

    pytest tests/bench_fbank.py --benchmark-only

Each group has both; the figures in brackets are the ratios.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from test_fbank_parity import kaldi_extractor, kaldi_frames, speech_like

from edge._native import Fbank

SAMPLES = speech_like(60)
BLOCK_SIZES = {"60 s at once": len(SAMPLES), "200 ms": 3200, "10 ms": 160}
FRAMES = (len(SAMPLES) - 400) // 160 + 1


def earmark(block_size: int) -> int:
    """All frames of SAMPLES, as one array per block."""
    fbank = Fbank()
    for begin in range(0, len(SAMPLES), block_size):
        fbank.push(SAMPLES[begin : begin + block_size])
    return fbank.frames_emitted


def kaldi(block_size: int) -> int:
    """All frames of SAMPLES, as one array per block."""
    extractor = kaldi_extractor()
    frames = 0
    for begin in range(0, len(SAMPLES), block_size):
        extractor.accept_waveform(16000, SAMPLES[begin : begin + block_size])
        frames += len(kaldi_frames(extractor, first=frames))
    return frames


@pytest.mark.parametrize("extract", [earmark, kaldi])
@pytest.mark.parametrize("blocks", BLOCK_SIZES)
def test_speed(benchmark: BenchmarkFixture, extract: Callable[[int], int], blocks: str) -> None:
    benchmark.group = blocks
    frames = benchmark.pedantic(extract, args=(BLOCK_SIZES[blocks],), rounds=15, warmup_rounds=1)
    assert frames == FRAMES
