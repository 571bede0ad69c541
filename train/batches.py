"""Training batches. Batch i depends on the seed and on i alone, so any stop can be resumed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from edge._native import Fbank, FbankOptions
from train.augment import Augmenter
from train.config import TrainConfig
from train.manifest import Utterance
from train.waveforms import Waveforms


@dataclass
class Batch:
    """One step's crops: log-mel frames, pooling mask, speaker labels (-1 unknown) and targets."""

    fbank: Tensor  # (batch, time, mels)
    mask: Tensor  # (batch, time / stride)
    labels: Tensor  # (batch,)
    targets: Tensor  # (batch, embedding)


class Batches(Dataset[Batch]):
    """Random crops of random utterances, augmented. The index is the training step."""

    def __init__(
        self,
        config: TrainConfig,
        *,
        utterances: list[Utterance],
        indices: NDArray[np.int64],
        waveforms: Waveforms,
        targets: NDArray[np.float32],
        augmenter: Augmenter,
    ) -> None:
        """`indices[i]` is the place of utterance i in `waveforms` and `targets`."""
        self.config = config
        self._indices = indices
        self._waveforms = waveforms
        self._targets = targets
        self._augmenter = augmenter
        self._fbank = Fbank(FbankOptions())
        names = sorted({u.speaker for u in utterances} - {""})
        number = {name: i for i, name in enumerate(names)}
        self._speakers = len(names)
        self._labels = np.array([number.get(u.speaker, -1) for u in utterances])
        self._probability = _sampling_probability(utterances)

    def __len__(self) -> int:
        return self.config.optimiser.steps

    def __getitem__(self, step: int) -> Batch:
        config, data = self.config, self.config.data
        random = np.random.default_rng([self.config.seed, step])
        size = config.optimiser.batch
        stride = config.encoder.stride
        frames = int(random.uniform(*data.crop_seconds) * 100) // stride * stride
        chosen = random.choice(len(self._labels), size=size, p=self._probability)
        strength = self._augmenter.strength(step)
        fbank = np.stack([self._crop(int(i), frames, random, strength) for i in chosen])
        mask = np.ones((size, frames // stride), dtype=np.float32)
        for i in np.flatnonzero(random.random(size) < data.splice_probability):
            span = int(random.integers(*data.splice_frames)) // stride * stride
            fbank[i, :span] = fbank[(i + 1) % size, -span:]
            mask[i, : (span + config.encoder.look_ahead) // stride] = 0.0
        return Batch(
            fbank=torch.from_numpy(fbank),
            mask=torch.from_numpy(mask),
            labels=torch.from_numpy(self._labels[chosen]),
            targets=torch.from_numpy(self._targets[self._indices[chosen]]),
        )

    def speaker_centres(self) -> Tensor:
        """Sum of the targets of each labelled speaker's utterances (speakers, embedding)."""
        known = (self._labels >= 0) & np.isfinite(self._targets[self._indices]).all(axis=1)
        centres = np.zeros((self._speakers, self._targets.shape[1]), dtype=np.float32)
        np.add.at(centres, self._labels[known], self._targets[self._indices[known]])
        return torch.from_numpy(centres)

    def _crop(
        self, i: int, frames: int, random: np.random.Generator, strength: float
    ) -> NDArray[np.float32]:
        index = int(self._indices[i])
        count = 160 * (frames - 1) + 400
        start = int(random.integers(max(1, self._waveforms.length(index) - count + 1)))
        audio = self._waveforms.crop(index, start, count)
        audio = self._augmenter.waveform(audio, random, strength)
        self._fbank.reset()
        return self._augmenter.features(self._fbank.push(audio), random, strength)


def _sampling_probability(utterances: list[Utterance]) -> NDArray[np.float64]:
    """Chance of each utterance: by its length, tempered so that rare speakers are heard more."""
    total: dict[str, float] = {}
    names = [u.speaker or str(u.path) for u in utterances]
    for name, utterance in zip(names, utterances, strict=True):
        total[name] = total.get(name, 0.0) + utterance.seconds
    weights = np.array(
        [u.seconds / np.sqrt(total[name]) for name, u in zip(names, utterances, strict=True)]
    )
    return weights / weights.sum()  # type: ignore[no-any-return]
