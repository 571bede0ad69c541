"""Mixtures of voices and noise of which it is known, frame by frame, who speaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import webrtcvad
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import binary_closing
from torch import Tensor
from torch.utils.data import Dataset

from edge._native import Fbank, FbankOptions
from train.augment import Augmenter
from train.config import TrainConfig
from train.manifest import Utterance
from train.waveforms import SAMPLE_RATE, Waveforms

Audio = NDArray[np.float32]
Marks = NDArray[np.bool_]

FRAME = 320  # samples of a mark
MIN_SECONDS = 1.5  # of utterances used: single words are hardly speech to a detector
QUIET_DB = 32.0  # frames so far below the utterance's loud ones are pauses
LONGEST_HOLE = 7  # frames within speech, 140 ms, that are not pauses


@dataclass
class Mixture:
    """Log-mel frames (batch, time, mels), and whether (batch, time / stride, 2) anybody and more
    than one voice is heard in each encoder frame."""

    fbank: Tensor
    truth: Tensor


class Mixtures(Dataset[Mixture]):
    """Random mixtures; mixture i depends on the seed and on i alone."""

    def __init__(
        self,
        config: TrainConfig,
        *,
        utterances: list[Utterance],
        indices: NDArray[np.int64],
        waveforms: Waveforms,
        noises: Waveforms,
        augmenter: Augmenter,
    ) -> None:
        """`indices[i]` is the place of utterance i in `waveforms`."""
        self.config = config
        long = [u.seconds >= MIN_SECONDS for u in utterances]
        self._indices = indices[long]
        self._waveforms = waveforms
        self._noises = noises
        self._augmenter = augmenter
        self._fbank = Fbank(FbankOptions())

    def __len__(self) -> int:
        return self.config.activity.steps

    def __getitem__(self, step: int) -> Mixture:
        config = self.config
        random = np.random.default_rng([config.seed, 1, step])
        frames = int(random.uniform(*config.activity.seconds) * 100)
        frames = frames // config.encoder.stride * config.encoder.stride
        pairs = [self._one(frames, random) for _ in range(config.activity.batch)]
        fbank, truth = (np.stack(parts) for parts in zip(*pairs, strict=True))
        return Mixture(torch.from_numpy(fbank), torch.from_numpy(truth))

    def _one(self, frames: int, random: Generator) -> tuple[Audio, NDArray[np.float32]]:
        config = self.config.activity
        count = 160 * (frames - 1) + 400
        voices = 0
        if random.random() >= config.nobody_probability:
            voices = 2 if random.random() < config.two_voices_probability else 1
        audio = np.zeros(count, dtype=np.float32)
        heard = np.zeros(count // FRAME, dtype=np.int64)
        for i in range(voices):
            voice, marks = self._voice(count, random)
            level = random.uniform(*config.voice_db) if i else 0.0
            audio += voice * np.float32(0.1 * 10.0 ** (level / 20.0))
            heard += marks
        level = 0.1 * 10.0 ** (random.uniform(*config.background_db) / 20.0)
        audio += self._background(count, random) * np.float32(level)
        self._fbank.reset()
        fbank = self._fbank.push(self._augmenter.waveform(audio, random))
        fbank = self._augmenter.features(fbank, random)
        truth = np.stack([heard >= 1, heard >= 2], axis=1)
        return fbank, self._delayed(truth, frames).astype(np.float32)

    def _delayed(self, truth: Marks, frames: int) -> Marks:
        """Truth of each encoder frame, which tells of what is a look-ahead before its input."""
        shape = self.config.encoder
        centres = (np.arange(frames // shape.stride) + 0.5) * shape.stride - shape.look_ahead
        marks = np.floor(centres * 160 / FRAME).astype(np.int64)
        delayed: Marks = np.where(marks[:, None] >= 0, truth[np.maximum(marks, 0)], False)
        return delayed

    def _voice(self, count: int, random: Generator) -> tuple[Audio, Marks]:
        """A voice of unit level within a random part of the span, and where it speaks."""
        index = int(random.choice(self._indices))
        audio = self._waveforms.random_crop(index, count, random)
        marks = speech_marks(audio)
        config = self.config.activity
        first, last = 0, len(marks)
        if random.random() < config.part_probability:
            first, last = np.sort(random.integers(len(marks) + 1, size=2))
        marks[:first] = False
        marks[last:] = False
        audio = audio.copy()
        audio[: first * FRAME] = 0.0
        audio[last * FRAME :] = 0.0
        if random.random() < config.room_probability:
            audio = self._augmenter.in_room(audio, random)
        power = np.mean(audio**2) * len(marks) / max(1, marks.sum())  # of its speech alone
        return audio / np.float32(np.sqrt(power + 1e-8)), marks

    def _background(self, count: int, random: Generator) -> Audio:
        """Noise of unit level: a recording, or a microphone's own."""
        if random.random() < 0.3:
            return random.standard_normal(count).astype(np.float32)
        index = int(random.integers(len(self._noises)))
        noise = self._noises.random_crop(index, count, random)
        unit: Audio = noise / np.sqrt(np.mean(noise**2) + np.float32(1e-8))
        return unit


def speech_marks(audio: Audio) -> Marks:
    """Where a clean recording of one voice has speech, in 20 ms frames.

    Both WebRTC's detector and the level must find it; short holes are closed.
    """
    count = len(audio) // FRAME
    level = np.sqrt(np.mean(audio[: count * FRAME].reshape(count, FRAME) ** 2, axis=1))
    loud = level > np.quantile(level, 0.95) * 10.0 ** (-QUIET_DB / 20.0)
    scaled = audio * np.float32(0.1 / max(float(np.sqrt(np.mean(audio**2))), 1e-5))
    pcm = (np.clip(scaled, -1.0, 1.0) * 32767).astype(np.int16)
    detector = webrtcvad.Vad(2)
    frames = pcm[: count * FRAME].reshape(count, FRAME)
    marks = loud & [detector.is_speech(frame.tobytes(), SAMPLE_RATE) for frame in frames]
    closed: Marks = binary_closing(np.pad(marks, LONGEST_HOLE), np.ones(LONGEST_HOLE))
    return closed[LONGEST_HOLE : LONGEST_HOLE + count]
