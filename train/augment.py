"""Augmentation on the fly: what a mood, a room, a microphone, a line and a crowd do to a voice."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import Annotated

import numpy as np
import soundfile
import torch
from msgspec import Meta
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor

from edge._native import Fbank, FbankOptions
from edge.front_end import SAMPLE_RATE
from train import torchaudio_functional as functional
from train.bounds import Count, NotNegative, Number, Probability, check_ranges
from train.manner import MannerConfig, draw_manner
from train.rooms import RoomConfig
from train.voices import VoiceConfig
from train.waveforms import Waveforms

Audio = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AugmentConfig:
    """Probabilities and strengths; ranges are drawn from uniformly.

    Probabilities and colouring grow from nothing to these over the first `ramp_steps` steps: an
    encoder of this size learns its teachers' map several times faster from clean speech.
    """

    ramp_steps: Number = 5000
    voices: VoiceConfig = field(default_factory=VoiceConfig)
    manner: MannerConfig = field(default_factory=MannerConfig)
    rooms: RoomConfig = field(default_factory=RoomConfig)
    room_probability: Probability = 0.2
    noise_probability: Probability = 0.3
    noise_snr_db: tuple[float, float] = (3.0, 25.0)
    babble_probability: Probability = 0.12
    babble_snr_db: tuple[float, float] = (4.0, 22.0)
    babble_voices: tuple[Count, Count] = (3, 7)  # the second is not drawn
    telephone_probability: Probability = 0.12
    telephone_low_hz: tuple[float, float] = (50.0, 350.0)
    telephone_high_hz: tuple[float, float] = (2800.0, 4000.0)
    band_probability: Probability = 0.0
    band_low_hz: tuple[float, float] = (20.0, 250.0)
    band_high_hz: tuple[float, float] = (3500.0, 7800.0)
    band_floor_db: tuple[float, float] = (-70.0, -30.0)  # what passes outside the band
    opus_probability: Probability = 0.0
    opus_compression: tuple[Probability, Probability] = (
        0.7,
        1.0,
    )  # libsndfile's level; 1: the fewest bits
    clipping_probability: Probability = 0.03
    level_db: tuple[float, float] = (-60.0, -12.0)  # RMS relative to full scale
    equaliser_db: NotNegative = 1.5  # standard deviation of each of the curve's components
    mel_mask: Annotated[int, Meta(ge=0, le=80)] = 6  # widest band masked, in mels
    time_mask: Number = 8  # longest span masked, in frames

    def __post_init__(self) -> None:
        check_ranges(self)


class Augmenter:
    """Applies the augmentations; all chance comes from the generator handed in."""

    def __init__(
        self,
        config: AugmentConfig,
        noises: Waveforms,
        rooms: Waveforms,
        voices: Waveforms,
        babblers: NDArray[np.int64],
    ) -> None:
        """`babblers`: which of the voices babble is made of."""
        self.config = config
        self._babblers = babblers
        self._noises = noises
        self._rooms = rooms
        self._voices = voices
        self._fbank = Fbank(FbankOptions())

    def strength(self, step: int) -> float:
        """How much of the augmentation is at work at a training step, 0 to 1."""
        return min(1.0, step / self.config.ramp_steps) if self.config.ramp_steps else 1.0

    def frames(self, audio: Audio, random: Generator, strength: float = 1.0) -> Audio:
        """Log-mel frames (time, mels) of samples in [-1, 1], both degraded."""
        self._fbank.reset()
        fbank = self._fbank.push(self.waveform(audio, random, strength))
        return self.features(fbank, random, strength)

    def waveform(self, audio: Audio, random: Generator, strength: float = 1.0) -> Audio:
        """Degrade samples in [-1, 1]; the length stays."""
        config = self.config
        audio = draw_manner(config.manner, audio, random, strength)
        if random.random() < strength * config.room_probability:
            audio = self.in_room(audio, random)
        chance = random.random() / strength if strength else 1.0
        if chance < config.noise_probability:
            index = int(random.integers(len(self._noises)))
            noise = self._noises.random_crop(index, len(audio), random)
            audio = mix(audio, noise, random.uniform(*config.noise_snr_db))
        elif chance < config.noise_probability + config.babble_probability:
            babble = self.babble(len(audio), random)
            audio = mix(audio, babble, random.uniform(*config.babble_snr_db))
        if random.random() < strength * config.telephone_probability:
            low = random.uniform(*config.telephone_low_hz)
            high = random.uniform(*config.telephone_high_hz)
            audio = telephone(audio, low, high, companded=random.random() < 0.5)
        if random.random() < strength * config.band_probability:
            low = random.uniform(*config.band_low_hz)
            high = random.uniform(*config.band_high_hz)
            audio = band_limited(audio, low, high, random.uniform(*config.band_floor_db))
        if random.random() < strength * config.opus_probability:
            audio = _through_opus(audio, random.uniform(*config.opus_compression))
        audio = audio * (from_db(random.uniform(*config.level_db)) / rms(audio))
        if random.random() < strength * config.clipping_probability:
            limit = np.quantile(np.abs(audio), random.uniform(0.95, 0.999))
            audio = np.clip(audio, -limit, limit)
        return np.clip(audio, -1.0, 1.0).astype(np.float32)

    def features(
        self, fbank: NDArray[np.float32], random: Generator, strength: float = 1.0
    ) -> NDArray[np.float32]:
        """Colour and mask log-mel frames (time, mels): a linear filter is a sum in this domain."""
        time, mels = fbank.shape
        config = self.config
        angles = np.pi * (np.arange(mels) + 0.5) / mels
        decibels = colour(angles, strength * config.equaliser_db, random)
        fbank = fbank + (decibels * np.log(10.0) / 10.0).astype(np.float32)
        floor = fbank.mean()
        width = int(random.integers(int(strength * config.mel_mask) + 1))
        start = int(random.integers(mels - width + 1))
        fbank[:, start : start + width] = floor
        width = min(int(random.integers(int(strength * config.time_mask) + 1)), time)
        start = int(random.integers(time - width + 1))
        fbank[start : start + width] = floor
        return fbank

    def in_room(self, audio: Audio, random: Generator) -> Audio:
        """The samples as heard somewhere in a room."""
        return _convolve(audio, self._room(random))

    def _room(self, random: Generator) -> Audio:
        """A response, measured or simulated."""
        return self._rooms[int(random.integers(len(self._rooms)))]

    def babble(self, count: int, random: Generator) -> Audio:
        """Several recordings of voices at once, whosever they are."""
        babble = np.zeros(count, dtype=np.float32)
        chosen = random.integers(
            len(self._babblers), size=random.integers(*self.config.babble_voices)
        )
        for index in self._babblers[chosen]:
            voice = self._voices.random_crop(int(index), count, random)
            babble += voice / rms(voice)
        return babble


def _convolve(audio: Audio, response: Audio) -> Audio:
    response = response[:SAMPLE_RATE]
    shortest = len(audio) + len(response) - 1
    response = np.pad(response, (0, next_fast_len(shortest, real=True) - shortest))
    wet = functional.fftconvolve(torch.from_numpy(audio), torch.from_numpy(response)).numpy()
    delay = int(np.argmax(np.abs(response)))
    return wet[delay : delay + len(audio)]  # type: ignore[no-any-return]


def telephone(audio: Audio, low_hz: float, high_hz: float, *, companded: bool) -> Audio:
    """A line of 8 kHz with slopes at the edges of its band; companded as by ITU-T G.711."""
    resampled = functional.resample(torch.from_numpy(audio), SAMPLE_RATE, 8000)
    spectrum = torch.fft.rfft(resampled)
    narrow = torch.fft.irfft(
        spectrum * _band(len(spectrum), 8000, low_hz, high_hz), n=len(resampled)
    )
    if companded:
        peak = 2.0 * narrow.abs().max() + 1e-5
        codes = functional.mu_law_encoding(narrow / peak, 256)
        narrow = functional.mu_law_decoding(codes, 256) * peak
    wide = functional.resample(narrow, 8000, SAMPLE_RATE).numpy()
    return wide[: len(audio)]  # type: ignore[no-any-return]


def band_limited(audio: Audio, low_hz: float, high_hz: float, floor_db: float) -> Audio:
    """What a microphone or a codec of a narrower band leaves; `floor_db` passes outside of it."""
    spectrum = torch.fft.rfft(torch.from_numpy(audio))
    floor = float(from_db(floor_db))
    gains = floor + (1.0 - floor) * _band(len(spectrum), SAMPLE_RATE, low_hz, high_hz)
    return torch.fft.irfft(spectrum * gains, n=len(audio)).numpy()  # type: ignore[no-any-return]


def _band(bins: int, rate: int, low_hz: float, high_hz: float) -> Tensor:
    """Gains of the bins of a spectrum (bins,), from nothing to 1 in the band, with slopes."""
    hertz = torch.linspace(0.0, rate / 2, bins)
    return torch.sigmoid((hertz - low_hz) / 30.0) * torch.sigmoid((high_hz - hertz) / 60.0)


def _through_opus(audio: Audio, compression: float) -> Audio:
    """Encoded and decoded by Opus (RFC 6716)."""
    coded = BytesIO()
    peak = np.abs(audio).max() + np.float32(1e-9)
    soundfile.write(
        coded, audio / peak, SAMPLE_RATE, "OPUS", format="OGG", compression_level=compression
    )
    coded.seek(0)
    heard: Audio = soundfile.read(coded, dtype="float32")[0] * peak
    return np.resize(heard, len(audio))


def colour(angles: Floats, deviation: float, random: Generator) -> Floats:
    """A smooth random curve in dB at angles from 0 to pi: four cosines, the nth `deviation` / n."""
    order = np.arange(1, 5)
    decibels: Floats = random.normal(0.0, deviation / order) @ np.cos(np.outer(order, angles))
    return decibels


def mix(audio: Audio, noise: Audio, snr_db: float) -> Audio:
    """Noise added at a signal-to-noise ratio."""
    return audio + noise * (rms(audio) / rms(noise) * from_db(-snr_db))


def rms(audio: Audio) -> np.float32:
    """Root of the mean power of samples; a little more than 0 for silence."""
    return np.sqrt(np.mean(np.square(audio)) + np.float32(1e-10))  # type: ignore[no-any-return]


def from_db(decibels: float) -> np.float32:
    """The factor that raises a level by so many decibels."""
    return np.float32(10.0 ** (decibels / 20.0))
