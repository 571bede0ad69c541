"""Voices that nobody has: recordings changed so that the words stay and the speaker does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from msgspec import Meta
from numpy.random import Generator
from numpy.typing import NDArray

from edge.front_end import SAMPLE_RATE
from train import torchaudio_functional as functional
from train.bounds import Probability, check_ranges
from train.waveforms import Waveforms

Audio = NDArray[np.float32]
Ratio = Annotated[float, Meta(ge=0.5, le=2.0)]  # of pitch: an octave at most
Semitones = Annotated[float, Meta(ge=0.0, le=12.0)]
WINDOW, HOP = 512, 128  # samples, of spectra in which a voice is changed


@dataclass(frozen=True)
class VoiceConfig:
    """Chances that a crop's voice is changed, and by how much."""

    speed_probability: Probability = 0.0
    # Each makes a new speaker of every speaker.
    speeds: Annotated[tuple[Ratio, ...], Meta(min_length=1)] = (0.9, 1.1)
    shift_probability: Probability = 0.0  # only with teachers that are run on the result
    shift_semitones: tuple[Semitones, Semitones] = (1.0, 4.0)  # up or down, the tempo kept

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class Voice:
    """A way to change a voice."""

    ratio: float  # of pitch and formants
    keeps_tempo: bool
    family: int | None  # number of the new speakers that it makes of the old; None: of no label

    @property
    def _rate(self) -> int:
        """The rate at which the samples are read out; a coarse ratio has a short filter."""
        return round(SAMPLE_RATE * self.ratio / 160) * 160

    def change(self, audio: Audio) -> Audio:
        """The samples in the changed voice; as long as before where the tempo is kept."""
        wave = torch.from_numpy(audio)
        if self.keeps_tempo:
            wave = _stretched(wave, self._rate / SAMPLE_RATE)
        changed: Audio = functional.resample(wave, self._rate, SAMPLE_RATE).numpy()
        return changed[: len(audio)] if self.keeps_tempo else changed

    def needs(self, count: int) -> int:
        """Of how many samples `change` makes at least `count`."""
        return count if self.keeps_tempo else -(-count * self._rate // SAMPLE_RATE)

    def random_crop(self, waveforms: Waveforms, index: int, count: int, random: Generator) -> Audio:
        """`count` samples of one file from a random place, in the changed voice."""
        return self.change(waveforms.random_crop(index, self.needs(count), random))[:count]

    def label(self, speaker: int, speakers: int) -> int:
        """The number of who speaks so, if `speaker`, one of `speakers`, is changed; -1 unknown."""
        if speaker < 0 or self.family is None:
            return -1
        return speaker + self.family * speakers


def draw_voice(config: VoiceConfig, random: Generator, strength: float) -> Voice | None:
    """A change of voice, or None for the voice as it is."""
    chance = random.random() / strength if strength else 1.0
    if chance < config.speed_probability:
        family = int(random.integers(len(config.speeds)))
        return Voice(config.speeds[family], keeps_tempo=False, family=1 + family)
    if chance < config.speed_probability + config.shift_probability:
        semitones = random.uniform(*config.shift_semitones) * random.choice([-1.0, 1.0])
        return Voice(2.0 ** (semitones / 12.0), keeps_tempo=True, family=None)
    return None


def spectrum_of(wave: torch.Tensor) -> torch.Tensor:
    """The short-time spectrum (bins, frames) of samples."""
    window = torch.hann_window(WINDOW)
    return torch.stft(wave, WINDOW, HOP, window=window, return_complex=True)


def wave_of(spectrum: torch.Tensor, count: int) -> torch.Tensor:
    """The samples (count,) whose short-time spectrum comes nearest to this one."""
    return torch.istft(spectrum, WINDOW, HOP, window=torch.hann_window(WINDOW), length=count)


def _stretched(wave: torch.Tensor, factor: float) -> torch.Tensor:
    """The same sound, `factor` times as long, by a phase vocoder (Flanagan and Golden, 1966)."""
    advance = torch.linspace(0.0, torch.pi * HOP, WINDOW // 2 + 1)[:, None]
    stretched = functional.phase_vocoder(spectrum_of(wave), 1.0 / factor, advance)
    return wave_of(stretched, int(np.ceil(len(wave) * factor)))
