"""Training batches. Batch i depends on the seed and on i alone, so any stop can be resumed.

That is up to rounding, which may differ with the number of torch's threads: 1 in loader processes,
and without them that of the training.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from train.augment import Augmenter
from train.config import TrainConfig
from train.kept_voices import KeptVoice, KeptVoices
from train.manifest import Utterance
from train.teacher import OnlineTarget
from train.voices import Voice, draw_voice
from train.waveforms import Waveforms, samples_of

Frames = NDArray[np.float32]


@dataclass
class Batch:
    """Crops to be pushed through the encoder at once."""

    fbank: Tensor  # log-mel frames (batch, time, mels)
    mask: Tensor  # of the encoder frames that are pooled (batch, time / stride)
    utterances: Tensor  # of which each crop was cut (batch,)
    labels: Tensor  # speakers (batch,); -1 unknown
    targets: Tensor  # of the teachers (batch, embedding); NaN unknown

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        return Batch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass
class Crop:
    """One crop, before it is part of a batch."""

    fbank: Frames  # (time, mels)
    label: int
    target: Frames  # (embedding,)


class Batches(Dataset[Batch]):
    """Random crops of random utterances, augmented; as many a step as `per_step` says.

    All crops of an utterance in a batch are in one voice.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        utterances: list[Utterance],
        indices: NDArray[np.int64],
        waveforms: Waveforms,
        targets: NDArray[np.float32],
        augmenter: Augmenter,
        online: OnlineTarget | None = None,
        kept: KeptVoices | None = None,
        per_step: int = 1,
    ) -> None:
        """`indices[i]` is the place of utterance i in `waveforms` and `targets`.

        `online` gives the targets of changed voices; without it they have none. With `kept` all
        changed voices are of those.
        """
        self.config = config
        self.per_step = per_step
        self._online = online
        self._kept = kept
        self._indices = indices
        self._waveforms = waveforms
        self._targets = targets
        self._augmenter = augmenter
        self._labels, self._speakers = speaker_numbers(utterances)
        self._probability = sampling_probability(utterances)

    def __len__(self) -> int:
        return self.config.optimiser.steps * self.per_step

    def __getitem__(self, index: int) -> Batch:
        config, data = self.config, self.config.data
        random = np.random.default_rng([self.config.seed, index])
        size = config.optimiser.batch
        stride = config.encoder.stride
        frames = int(random.uniform(*data.crop_seconds) * 100) // stride * stride
        count = size // data.views
        chosen = random.choice(len(self._labels), size=count, p=self._probability)
        chosen = np.repeat(chosen, data.views)
        strength = self._augmenter.strength(index // self.per_step)
        # Views agree on a voice; at another speed it would be another speaker's.
        voices = {i: self._voice(int(i), random, strength) for i in np.unique(chosen)}
        crops = [self._crop(int(i), voices[i], frames, random, strength) for i in chosen]
        fbank = np.stack([crop.fbank for crop in crops])
        mask = np.ones((len(crops), frames // stride), dtype=np.float32)
        for i in np.flatnonzero(random.random(len(crops)) < data.splice_probability):
            span = int(random.integers(*data.splice_frames)) // stride * stride
            fbank[i, :span] = fbank[(i + data.views) % len(crops), frames - span :]
            mask[i, : (span + config.encoder.look_ahead) // stride] = 0.0
        return Batch(
            fbank=torch.from_numpy(fbank),
            mask=torch.from_numpy(mask),
            utterances=torch.from_numpy(chosen),
            labels=torch.tensor([crop.label for crop in crops]),
            targets=torch.from_numpy(np.stack([crop.target for crop in crops])),
        )

    def untaught(self) -> Batches:
        """The same batches, but for the targets of changed voices: they take longest to make."""
        batches = copy(self)
        batches._online = None
        batches._kept = self._kept and self._kept.untaught()
        return batches

    def class_centres(self) -> Tensor:
        """Sum of the targets of each labelled speaker's utterances (classes, embedding).

        The new speakers that changes of speed make follow the old; they have no targets yet.
        """
        known = (self._labels >= 0) & np.isfinite(self._targets[self._indices]).all(axis=1)
        voices = self.config.augment.voices
        families = 1 + (len(voices.speeds) if voices.speed_probability else 0)
        centres = np.zeros((families * self._speakers, self._targets.shape[1]), dtype=np.float32)
        np.add.at(centres, self._labels[known], self._targets[self._indices[known]])
        return torch.from_numpy(centres)

    def _voice(self, i: int, random: Generator, strength: float) -> Voice | KeptVoice | None:
        """In which utterance i is heard; None: in its own."""
        voice = draw_voice(self.config.augment.voices, random, strength)
        if voice is None or self._kept is None:
            return voice
        return self._kept.draw(int(self._indices[i]), random)

    def _crop(
        self,
        i: int,
        voice: Voice | KeptVoice | None,
        frames: int,
        random: Generator,
        strength: float,
    ) -> Crop:
        index = int(self._indices[i])
        label, target = int(self._labels[i]), self._targets[index]
        count = samples_of(frames)
        if voice is None:
            audio = self._waveforms.random_crop(index, count, random)
        elif isinstance(voice, KeptVoice):
            label, target = voice.voice.label(label, self._speakers), voice.target
            audio = voice.random_crop(count, random)
        else:
            label = voice.label(label, self._speakers)
            audio = voice.random_crop(self._waveforms, index, count, random)
            target = self._online(audio) if self._online else np.full_like(target, np.nan)
        return Crop(self._augmenter.frames(audio, random, strength), label, target)


def speaker_numbers(utterances: list[Utterance]) -> tuple[NDArray[np.int64], int]:
    """The number of each utterance's speaker, -1 where unknown, and how many speakers there are."""
    names = sorted({u.speaker for u in utterances} - {""})
    number = {name: i for i, name in enumerate(names)}
    return np.array([number.get(u.speaker, -1) for u in utterances]), len(names)


def sampling_probability(utterances: list[Utterance]) -> NDArray[np.float64]:
    """Chance of each utterance: by its length, tempered so that rare speakers are heard more."""
    total: dict[str, float] = {}
    names = [u.speaker or str(u.path) for u in utterances]
    for name, utterance in zip(names, utterances, strict=True):
        total[name] = total.get(name, 0.0) + utterance.seconds
    weights = np.array(
        [u.seconds / np.sqrt(total[name]) for name, u in zip(names, utterances, strict=True)]
    )
    return weights / weights.sum()  # type: ignore[no-any-return]
