"""Risk: how the stream is cut into blocks changes the audio, or moves it."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.resample import Resampler

RATES = [4_000, 8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000]


def noise(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-1, 1, count).astype(np.float32)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(RATES),
    st.integers(0, 30_000),
    st.lists(st.integers(0, 20_000), max_size=12),
)
def test_streamed_equals_one_shot_bit_for_bit(rate: int, total: int, sizes: list[int]) -> None:
    samples = noise(total)
    resampler = Resampler(rate)
    for _ in range(2):  # flush leaves it ready for another stream
        pieces = [resampler.push(piece) for piece in np.split(samples, np.cumsum(sizes))]
        streamed = np.concatenate([*pieces, resampler.flush()])
        assert streamed.dtype == np.float32
        np.testing.assert_array_equal(streamed, soxr.resample(samples, rate, 16_000, "HQ"))


@pytest.mark.parametrize("rate", RATES)
def test_time_is_kept(rate: int) -> None:
    """A tone comes out with the phase that it had; one sample of delay would turn it by 22°."""
    resampler = Resampler(rate)
    tone = np.sin(2 * np.pi * 1_000 * np.arange(rate) / rate).astype(np.float32)
    heard = np.concatenate([resampler.push(tone), resampler.flush()])
    expected = np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)
    assert len(heard) == 16_000
    np.testing.assert_allclose(heard[2_000:-2_000], expected[2_000:-2_000], atol=1e-3)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_what_16_khz_cannot_hold_is_removed(rate: int) -> None:
    resampler = Resampler(rate)
    tone = np.sin(2 * np.pi * 9_500 * np.arange(rate) / rate).astype(np.float32)
    heard = np.concatenate([resampler.push(tone), resampler.flush()])
    assert np.abs(heard[2_000:-2_000]).max() < 1e-4


def test_equal_rates_pass_through() -> None:
    resampler = Resampler(16_000)
    samples = noise(100)
    assert resampler.push(samples) is samples
    assert len(resampler.flush()) == 0


def test_another_dtype_is_refused() -> None:
    with pytest.raises(TypeError, match="float32"):
        Resampler(48_000).push(np.zeros(10))  # type: ignore[arg-type]
