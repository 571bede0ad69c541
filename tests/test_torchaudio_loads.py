"""Risk: torchaudio, whose extension wants CUDA, fails beside a CPU-only torch or computes wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from train import torchaudio_functional as functional


@pytest.mark.parametrize(("source", "target"), [(16000, 8000), (8000, 16000), (48000, 16000)])
def test_resampling_keeps_the_frequency_of_a_tone(source: int, target: int) -> None:
    tone = torch.sin(2 * torch.pi * 1000.0 * torch.arange(source) / source)
    resampled = functional.resample(tone, source, target)
    assert resampled.shape == (target,)
    spectrum = np.abs(np.fft.rfft(resampled.numpy() * np.hanning(target)))
    assert np.argmax(spectrum) == 1000  # bins of 1 Hz
    assert resampled[100:-100].abs().max().item() == pytest.approx(1.0, abs=0.01)


def test_convolution_with_a_delta_returns_the_signal() -> None:
    signal = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    delta = torch.zeros(64)
    delta[10] = 1.0
    convolved = functional.fftconvolve(signal, delta)
    assert convolved.shape == (1063,)
    torch.testing.assert_close(convolved[10:1010], signal, atol=1e-5, rtol=0)
    assert convolved[:10].abs().max() < 1e-5


def test_convolution_agrees_with_numpy() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = torch.randn(300, generator=generator), torch.randn(77, generator=generator)
    expected = np.convolve(first.numpy(), second.numpy())
    np.testing.assert_allclose(functional.fftconvolve(first, second), expected, atol=1e-4)
