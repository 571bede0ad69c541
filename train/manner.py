"""Manners of speaking: another pitch, or a whisper, of somebody who stays the same.

A resonance of the throat and mouth is a person's; how fast the vocal folds swing, and whether they
do, is a mood's. An excited or a whispering speaker is known by what the two leave alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from train.bounds import Probability, check_ranges
from train.voices import WINDOW, Semitones, Voice, spectrum_of, wave_of

Audio = NDArray[np.float32]
RESONANCES = 32  # cepstral coefficients (2 ms) that tell them; the pitch is in those beyond
MOST_LIFT = 6.0  # nepers of power by which a resonance is put back where a shift left little


@dataclass(frozen=True)
class MannerConfig:
    """Chances that somebody speaks otherwise than was recorded, and by how much."""

    pitch_probability: Probability = 0.0
    pitch_semitones: tuple[Semitones, Semitones] = (2.0, 10.0)  # up, or half as many down
    whisper_probability: Probability = 0.0

    def __post_init__(self) -> None:
        check_ranges(self)


def draw_manner(config: MannerConfig, audio: Audio, random: Generator, strength: float) -> Audio:
    """Samples as they are, or as the same person says the same in another manner; as long.

    What is shorter than a window stays as it is.
    """
    if len(audio) < WINDOW:
        return audio
    chance = random.random() / strength if strength else 1.0
    if chance < config.pitch_probability:
        semitones = random.uniform(*config.pitch_semitones) * random.choice([-0.5, 1.0])
        return at_pitch(audio, 2.0 ** (semitones / 12.0))
    if chance < config.pitch_probability + config.whisper_probability:
        return whispered(audio, random)
    return audio


def at_pitch(audio: Audio, ratio: float) -> Audio:
    """The pitch times `ratio`, the tempo and the resonances kept."""
    shifted = np.zeros_like(audio)
    changed = Voice(ratio, keeps_tempo=True, family=None).change(audio)
    shifted[: len(changed)] = changed
    spectrum = spectrum_of(torch.from_numpy(shifted))
    lift = _resonances(spectrum_of(torch.from_numpy(audio))) - _resonances(spectrum)
    restored = spectrum * torch.exp(0.5 * lift.clamp(-MOST_LIFT, MOST_LIFT))
    return wave_of(restored, len(audio)).numpy()


def whispered(audio: Audio, random: Generator) -> Audio:
    """Noise through the resonances, moment by moment: speech without a voice."""
    noise = spectrum_of(torch.from_numpy(random.standard_normal(len(audio)).astype(np.float32)))
    flat = noise / torch.hann_window(WINDOW).square().sum().sqrt()
    resonances = _resonances(spectrum_of(torch.from_numpy(audio)))
    return wave_of(flat * torch.exp(0.5 * resonances), len(audio)).numpy()


def _resonances(spectrum: torch.Tensor) -> torch.Tensor:
    """The log power of a spectrum (bins, frames) without its fine structure, by the cepstrum."""
    power = torch.log(spectrum.abs().square() + 1e-8)
    cepstrum = torch.fft.irfft(power, n=WINDOW, dim=0)
    cepstrum[RESONANCES : WINDOW - RESONANCES + 1] = 0.0
    resonances: torch.Tensor = torch.fft.rfft(cepstrum, dim=0).real
    return resonances
