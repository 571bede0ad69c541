"""Risk: features that depend on how the audio was cut, so that live and replay disagree."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge._native import Fbank, FbankOptions

BLOCK_SIZES = st.one_of(st.sampled_from([0, 1, 159, 160, 161]), st.integers(0, 3000))


def noise(count: int, seed: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(count)).astype(np.float32)


def push_in_blocks(fbank: Fbank, samples: np.ndarray, sizes: list[int]) -> np.ndarray:
    cuts = np.cumsum([0, *sizes]).tolist()
    return np.concatenate([fbank.push(samples[begin:end]) for begin, end in pairwise(cuts)])


def assert_same_bits(actual: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(actual.view(np.uint32), expected.view(np.uint32))


@given(
    sizes=st.lists(BLOCK_SIZES, min_size=1, max_size=20),
    seed=st.integers(0, 2**32 - 1),
    window=st.sampled_from(["povey", "hamming"]),
)
def test_blocks_equal_one_shot(sizes: list[int], seed: int, window: str) -> None:
    options = FbankOptions(window=window)
    samples = noise(sum(sizes), seed)
    whole, blocks = Fbank(options), Fbank(options)
    expected = whole.push(samples)
    assert_same_bits(push_in_blocks(blocks, samples, sizes), expected)
    assert blocks.frames_emitted == whole.frames_emitted == len(expected)


@pytest.mark.parametrize("size", [1, 159, 160, 161])
def test_constant_blocks_equal_one_shot(size: int) -> None:
    sizes = [size] * (4000 // size)
    samples = noise(sum(sizes), seed=size)
    assert_same_bits(push_in_blocks(Fbank(), samples, sizes), Fbank().push(samples))


@given(
    sample_rate=st.sampled_from([8000, 16000, 22050, 44100]),
    frame_length_ms=st.floats(15, 40),
    frame_shift_ms=st.floats(1, 15),
    sizes=st.lists(BLOCK_SIZES, min_size=1, max_size=5),
)
def test_blocks_equal_one_shot_at_other_options(
    sample_rate: int, frame_length_ms: float, frame_shift_ms: float, sizes: list[int]
) -> None:
    options = FbankOptions(
        sample_rate=sample_rate,
        frame_length_ms=frame_length_ms,
        frame_shift_ms=frame_shift_ms,
        num_mels=20,
    )
    samples = noise(sum(sizes), seed=1)
    assert_same_bits(push_in_blocks(Fbank(options), samples, sizes), Fbank(options).push(samples))


def test_reset_forgets_the_samples_before() -> None:
    samples = noise(5000, seed=1)
    fbank = Fbank()
    expected = fbank.push(samples)
    fbank.reset()
    assert fbank.frames_emitted == 0
    assert_same_bits(fbank.push(samples), expected)


def test_options_survive_a_round_trip() -> None:
    options = FbankOptions(window="hamming", num_mels=40, high_hz=-200)
    assert FbankOptions.from_dict(options.as_dict()) == options
    assert pickle.loads(pickle.dumps(options)) == options
    assert eval(repr(options)) == options
    assert options != FbankOptions()
    assert Fbank(options).options == options


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_melz": 80}, "expected settings among sample_rate, .*, got 'num_melz'"),
        ({"num_mels": 80.0}, "num_mels: expected a 32-bit integer, got 80.0"),
        ({"num_mels": 0}, "num_mels: expected 1 to 4096, got 0"),
        ({"low_hz": "20"}, "low_hz: expected a number, got '20'"),
        ({"remove_dc_offset": 1}, "remove_dc_offset: expected a bool, got 1"),
        ({"window": "hann"}, "window: expected 'povey' or 'hamming', got 'hann'"),
        ({"frame_shift_ms": 30}, "frame_shift_ms: expected .* at most frame_length_ms, got 30"),
    ],
)
def test_option_errors_name_setting_expected_and_actual(
    settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        FbankOptions.from_dict(settings)


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (np.zeros(400), TypeError),
        (np.zeros((400, 1), np.float32), ValueError),
        (np.zeros(800, np.float32)[::2], ValueError),
    ],
)
def test_other_arrays_are_refused(block: np.ndarray, error: type[Exception]) -> None:
    with pytest.raises(error, match="block: expected a contiguous 1-D numpy float32 array, got"):
        Fbank().push(block)
